//! The only place that runs a program: absolute path, clean environment, `LC_ALL=C`, a deadline, a bounded
//! output, the tail of stderr in the error, and a child that dies with us.
//!
//! It must never look at what a program prints (that is its caller's), never use a shell, and never pass on the
//! caller's environment: a secret in ours must not reach a child's.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

/// Most bytes of stdout kept unless the caller asks for another limit. `smartctl --json` prints about 30 kB.
pub const DEFAULT_STDOUT_LIMIT: usize = 16 << 20;
/// Bytes of stderr kept (its tail) for the error. Enough for the last lines of apt or mmdebstrap.
const STDERR_TAIL: usize = 4096;
/// Where [`find`] looks, in order. A fixed list: `PATH` belongs to whoever started us.
const DIRECTORIES: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Why a program did not end as asked. Each variant names the program.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The program was named by a relative path.
    #[error("{} is not an absolute path; name the program by its full path", program.display())]
    NotAbsolute {
        /// What was asked for.
        program: PathBuf,
    },
    /// The program could not be started (absent, not executable, no processes left).
    #[error("starting {}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Talking to the running program failed.
    #[error("talking to {}", program.display())]
    Pipe {
        /// The program.
        program: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The program did not end in time and was killed.
    #[error("{} did not end within {} s and was killed{}", program.display(), deadline.as_secs_f64(), shown(stderr))]
    Deadline {
        /// The program.
        program: PathBuf,
        /// The limit it passed.
        deadline: Duration,
        /// The tail of its stderr.
        stderr: String,
    },
    /// The program printed more than the caller is willing to hold.
    #[error("{} printed more than {limit} bytes and was killed", program.display())]
    TooMuch {
        /// The program.
        program: PathBuf,
        /// The limit in bytes.
        limit: usize,
    },
    /// The program ended with a status other than 0.
    #[error("{} ended with {status}{}", program.display(), shown(stderr))]
    Failed {
        /// The program.
        program: PathBuf,
        /// `exit status N` or `signal N`.
        status: String,
        /// The tail of its stderr.
        stderr: String,
    },
}

fn shown(stderr: &str) -> String {
    if stderr.trim().is_empty() { String::new() } else { format!(": {}", stderr.trim()) }
}

/// Which stream a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// What an ended program left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Exit status; `None` when a signal ended it.
    pub code: Option<i32>,
    /// `exit status N` or `signal N`, for people.
    pub status: String,
    /// Standard output, whole. Empty when it was read by line or sent elsewhere.
    pub stdout: Vec<u8>,
    /// The last 4 kB of standard error.
    pub stderr: String,
}

/// A program to be run: absolute path, arguments, deadline. Nothing is started until one of the last methods is called.
#[derive(Debug)]
pub struct Run {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    dir: Option<PathBuf>,
    stdin: Option<Vec<u8>>,
    deadline: Duration,
    stdout_limit: usize,
}

impl Run {
    /// A program by its absolute path, and the time it may take.
    pub fn new(program: impl Into<PathBuf>, deadline: Duration) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            dir: None,
            stdin: None,
            deadline,
            stdout_limit: DEFAULT_STDOUT_LIMIT,
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets one environment variable; the rest of the environment is `LC_ALL=C` and a fixed `PATH`. Never a secret.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Runs in this directory instead of `/`.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Feeds these bytes to standard input (closed otherwise).
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Holds at most this many bytes of standard output.
    #[must_use]
    pub fn stdout_limit(mut self, bytes: usize) -> Self {
        self.stdout_limit = bytes;
        self
    }

    /// Runs to the end and returns whatever status it ended with.
    pub async fn output(self) -> Result<Finished, ExecError> {
        let limit = self.stdout_limit;
        self.drive(move |out, err| async move { tokio::try_join!(read_bounded(out, limit), read_tail(err)) }).await
    }

    /// Runs to the end; a status other than 0 is an error that carries the tail of stderr.
    pub async fn success(self) -> Result<Finished, ExecError> {
        let program = self.program.clone();
        into_success(program, self.output().await?)
    }

    /// Runs to the end, handing each line of stdout and stderr to `on_line` as it comes (for progress).
    /// A status other than 0 is an error.
    pub async fn lines(self, mut on_line: impl FnMut(Stream, &str)) -> Result<Finished, ExecError> {
        let program = self.program.clone();
        let finished = self
            .drive(move |out, err| async move {
                let tail = read_lines(out, err, &mut on_line).await?;
                Ok((Vec::new(), tail))
            })
            .await?;
        into_success(program, finished)
    }

    /// Runs to the end on the caller's own terminal: what a person follows, such as a bar. Nothing is kept of what
    /// it prints. A status other than 0 is an error.
    pub async fn attached(self) -> Result<Finished, ExecError> {
        let program = self.program.clone();
        let pipe = |source| ExecError::Pipe { program: program.clone(), source };
        let mut command = self.command()?;
        command.stdin(Stdio::null()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
        let mut child = command.spawn().map_err(|source| ExecError::Start { program: program.clone(), source })?;
        let Ok(status) = tokio::time::timeout(self.deadline, child.wait()).await else {
            // As in `drive`: it may be in uninterruptible sleep.
            let _ = child.start_kill();
            return Err(ExecError::Deadline { program, deadline: self.deadline, stderr: String::new() });
        };
        let status = status.map_err(pipe)?;
        let finished =
            Finished { code: status.code(), status: words(status), stdout: Vec::new(), stderr: String::new() };
        into_success(program, finished)
    }

    /// Starts a long-running program (a server, a virtual machine) with both its streams sent to `log`.
    /// It is killed when the returned value is dropped. The deadline does not apply: the caller ends it.
    pub fn start(self, log: std::fs::File) -> Result<Started, ExecError> {
        let program = self.program.clone();
        let pipe = |source| ExecError::Pipe { program: program.clone(), source };
        let copy = OwnedFd::from(log.try_clone().map_err(pipe)?);
        let mut command = self.command()?;
        command.stdin(Stdio::null()).stdout(Stdio::from(log)).stderr(Stdio::from(copy));
        let child = command.spawn().map_err(|source| ExecError::Start { program: program.clone(), source })?;
        Ok(Started { program, child })
    }

    fn command(&self) -> Result<Command, ExecError> {
        if !self.program.is_absolute() {
            return Err(ExecError::NotAbsolute { program: self.program.clone() });
        }
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .env_clear()
            .env("LC_ALL", "C")
            .env("PATH", DIRECTORIES.join(":"))
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.dir.as_deref().unwrap_or(Path::new("/")))
            .kill_on_drop(true);
        die_with_us(&mut command);
        Ok(command)
    }

    async fn drive<R, F>(mut self, read: R) -> Result<Finished, ExecError>
    where
        R: FnOnce(tokio::process::ChildStdout, tokio::process::ChildStderr) -> F,
        F: Future<Output = Result<(Vec<u8>, String), ReadError>>,
    {
        let program = self.program.clone();
        let pipe = |source| ExecError::Pipe { program: program.clone(), source };
        let mut command = self.command()?;
        command.stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|source| ExecError::Start { program: program.clone(), source })?;
        let feed = self.stdin.take().zip(child.stdin.take());
        let out = child.stdout.take().expect("stdout was asked to be a pipe");
        let err = child.stderr.take().expect("stderr was asked to be a pipe");
        let whole = async {
            let write = async {
                if let Some((bytes, mut stdin)) = feed {
                    // A program that ends without reading its input is judged by its status, not by our EPIPE.
                    let _ = stdin.write_all(&bytes).await;
                }
                Ok(())
            };
            let ((), (stdout, stderr)) = tokio::try_join!(write, read(out, err))?;
            let status = child.wait().await.map_err(ReadError::Io)?;
            Ok((status, stdout, stderr))
        };
        match tokio::time::timeout(self.deadline, whole).await {
            Ok(Ok((status, stdout, stderr))) => {
                Ok(Finished { code: status.code(), status: words(status), stdout, stderr })
            }
            Ok(Err(ReadError::TooMuch)) => {
                let _ = child.kill().await;
                Err(ExecError::TooMuch { program, limit: self.stdout_limit })
            }
            Ok(Err(ReadError::Io(source))) => Err(pipe(source)),
            Err(_elapsed) => {
                // `start_kill`, not `kill`: a child in uninterruptible sleep must not hold us past the deadline.
                let _ = child.start_kill();
                Err(ExecError::Deadline { program, deadline: self.deadline, stderr: String::new() })
            }
        }
    }
}

/// A program that runs until it is told to stop; killed when dropped.
#[derive(Debug)]
pub struct Started {
    program: PathBuf,
    child: Child,
}

impl Started {
    /// Process id; `None` once it has been reaped.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<String>, ExecError> {
        let program = self.program.clone();
        let status = self.child.try_wait().map_err(|source| ExecError::Pipe { program, source })?;
        Ok(status.map(words))
    }

    /// Waits for the end, at most `limit`.
    pub async fn wait(&mut self, limit: Duration) -> Result<Finished, ExecError> {
        let program = self.program.clone();
        match tokio::time::timeout(limit, self.child.wait()).await {
            Ok(Ok(status)) => {
                Ok(Finished { code: status.code(), status: words(status), stdout: Vec::new(), stderr: String::new() })
            }
            Ok(Err(source)) => Err(ExecError::Pipe { program, source }),
            Err(_elapsed) => Err(ExecError::Deadline { program, deadline: limit, stderr: String::new() }),
        }
    }

    /// Kills it at once (for a virtual machine: the power cut) and reaps it.
    pub async fn kill(&mut self) -> Result<(), ExecError> {
        let program = self.program.clone();
        self.child.kill().await.map_err(|source| ExecError::Pipe { program, source })
    }
}

/// The absolute path of a program in the system's directories, or `None`.
pub fn find(name: &str) -> Option<PathBuf> {
    DIRECTORIES.iter().map(|dir| Path::new(dir).join(name)).find(|path| path.is_file())
}

enum ReadError {
    Io(std::io::Error),
    TooMuch,
}

fn die_with_us(command: &mut Command) {
    // SAFETY: the closure runs in the child between fork and exec and makes one async-signal-safe system call.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(|| nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(Into::into));
    }
}

fn into_success(program: PathBuf, finished: Finished) -> Result<Finished, ExecError> {
    if finished.code == Some(0) {
        return Ok(finished);
    }
    Err(ExecError::Failed { program, status: finished.status, stderr: finished.stderr })
}

fn words(status: std::process::ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown status".to_owned(),
    }
}

async fn read_bounded(mut from: impl AsyncRead + Unpin, limit: usize) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    (&mut from).take(most).read_to_end(&mut bytes).await.map_err(ReadError::Io)?;
    if bytes.len() > limit { Err(ReadError::TooMuch) } else { Ok(bytes) }
}

async fn read_tail(mut from: impl AsyncRead + Unpin) -> Result<String, ReadError> {
    let mut tail = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let read = from.read(&mut chunk).await.map_err(ReadError::Io)?;
        if read == 0 {
            return Ok(String::from_utf8_lossy(&tail).into_owned());
        }
        tail.extend_from_slice(&chunk[..read]);
        keep_tail(&mut tail);
    }
}

async fn read_lines(
    out: impl AsyncRead + Unpin,
    err: impl AsyncRead + Unpin,
    on_line: &mut impl FnMut(Stream, &str),
) -> Result<String, ReadError> {
    let mut out = BufReader::new(out);
    let mut err = BufReader::new(err);
    let (mut out_line, mut err_line) = (Vec::new(), Vec::new());
    let (mut out_open, mut err_open) = (true, true);
    let mut tail = Vec::new();
    while out_open || err_open {
        // `read_until` keeps what it has read in its buffer when the other branch wins, so no byte is lost.
        tokio::select! {
            read = out.read_until(b'\n', &mut out_line), if out_open => {
                out_open = read.map_err(ReadError::Io)? > 0;
                hand_over(Stream::Out, &mut out_line, on_line);
            }
            read = err.read_until(b'\n', &mut err_line), if err_open => {
                err_open = read.map_err(ReadError::Io)? > 0;
                tail.extend_from_slice(&err_line);
                keep_tail(&mut tail);
                hand_over(Stream::Err, &mut err_line, on_line);
            }
        }
    }
    Ok(String::from_utf8_lossy(&tail).into_owned())
}

fn hand_over(stream: Stream, line: &mut Vec<u8>, on_line: &mut impl FnMut(Stream, &str)) {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches(['\n', '\r']);
    if !text.is_empty() {
        on_line(stream, text);
    }
    line.clear();
}

fn keep_tail(bytes: &mut Vec<u8>) {
    if bytes.len() > STDERR_TAIL {
        bytes.drain(..bytes.len() - STDERR_TAIL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn the_environment_is_clean_and_the_locale_fixed() {
        let finished = Run::new("/usr/bin/env", SOON).env("GIVEN", "yes").success().await.unwrap();
        let mut names: Vec<_> = std::str::from_utf8(&finished.stdout).unwrap().lines().collect();
        names.sort_unstable();
        assert_eq!(names[0], "GIVEN=yes");
        assert_eq!(names[1], "LC_ALL=C");
        assert!(names[2].starts_with("PATH=/usr/local/sbin:"), "{names:?}");
        assert_eq!(names.len(), 3, "{names:?}");
    }

    #[tokio::test]
    async fn a_relative_path_is_refused() {
        let error = Run::new("sh", SOON).success().await.unwrap_err();
        assert_eq!(error.to_string(), "sh is not an absolute path; name the program by its full path");
    }

    #[tokio::test]
    async fn a_failure_carries_the_tail_of_stderr() {
        let error =
            Run::new("/bin/sh", SOON).args(["-c", "echo no such pool >&2; exit 3"]).success().await.unwrap_err();
        assert_eq!(error.to_string(), "/bin/sh ended with exit status 3: no such pool");
    }

    #[tokio::test]
    async fn a_program_past_its_deadline_is_killed() {
        let error = Run::new("/bin/sleep", Duration::from_millis(50)).arg("60").output().await.unwrap_err();
        assert_eq!(error.to_string(), "/bin/sleep did not end within 0.05 s and was killed");
    }

    #[tokio::test]
    async fn output_is_bounded() {
        let error = Run::new("/usr/bin/yes", SOON).stdout_limit(1000).output().await.unwrap_err();
        assert_eq!(error.to_string(), "/usr/bin/yes printed more than 1000 bytes and was killed");
    }

    #[tokio::test]
    async fn input_is_fed_and_lines_arrive_from_both_streams() {
        let mut seen = Vec::new();
        Run::new("/bin/sh", SOON)
            .args(["-c", "cat; echo bad >&2"])
            .stdin("one\ntwo")
            .lines(|stream, line| seen.push((stream, line.to_owned())))
            .await
            .unwrap();
        seen.sort_by_key(|(stream, _)| *stream == Stream::Err);
        assert_eq!(
            seen,
            [(Stream::Out, "one".to_owned()), (Stream::Out, "two".to_owned()), (Stream::Err, "bad".to_owned())]
        );
    }

    #[tokio::test]
    async fn a_started_program_is_ended_by_us() {
        let log = std::fs::File::options().write(true).open("/dev/null").unwrap();
        let mut started = Run::new("/bin/sleep", SOON).arg("60").start(log).unwrap();
        assert!(started.pid().is_some());
        assert_eq!(started.ended().unwrap(), None);
        started.kill().await.unwrap();
        assert_eq!(started.ended().unwrap().as_deref(), Some("signal 9"));
    }
}
