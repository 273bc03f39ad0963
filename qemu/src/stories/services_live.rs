//! `services-live`: a real nginx serves several names with TLS; what people who use it would notice is told, and nothing
//! else. No machine is booted: the agent's program runs here, in the network of the story.
//!
//! Real: nginx, openssl's certificates, TLS, the shipped program. Made for the story: what stands behind nginx, which
//! answers late, never, or is not there.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use hardstand_exec::{Run, Started, find};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::guest::Said;
use crate::health::Health;
use crate::scene::Scene;
use crate::wait::until;

/// openssl makes a key in milliseconds; `ip` only talks to the kernel.
const TOOL_LIMIT: Duration = Duration::from_secs(30);
/// One pass: as long as the longest question, which is 2 s here, and the node's own files.
const PASS_LIMIT: Duration = Duration::from_secs(60);
/// nginx serves within a second, the agent after its first pass.
const UP_LIMIT: Duration = Duration::from_secs(60);
/// What has happened is seen in the pass after the next question, a second or two later.
const SEEN_LIMIT: Duration = Duration::from_secs(30);
/// What the late one waits; the limit of its check is half of it.
const LATE: Duration = Duration::from_millis(600);

/// The certificates: file, name, days it is good for, authority.
const CERTIFICATES: [(&str, &str, &str, &str); 5] = [
    ("wiki", "wiki.lan", "90", "ca"),
    ("soon", "soon.lan", "10", "ca"),
    ("last", "last.lan", "2", "ca"),
    ("old", "old.lan", "-1", "ca"),
    ("stray", "stray.lan", "90", "stray-ca"),
];

pub(crate) async fn run(scene: &Scene) -> Result<()> {
    Run::new(tool("ip")?, TOOL_LIMIT).args(["link", "set", "lo", "up"]).success().await?;
    let dir = scene.dir.canonicalize().context("finding the story's directory")?;
    certificates(&dir).await?;
    behind().await?;
    let mut nginx = nginx(&dir).await?;
    scene.say("nginx serves five names");
    answers(scene, &dir).await?;
    files(scene, &dir).await?;
    over_time(scene, &dir, &mut nginx).await
}

pub(super) fn tool(name: &str) -> Result<PathBuf> {
    find(name).with_context(|| format!("finding {name}; start through qemu/lab, which installs it"))
}

pub(super) async fn openssl(dir: &Path, words: &str) -> Result<()> {
    let run = Run::new(tool("openssl")?, TOOL_LIMIT).args(words.split(' ')).dir(dir);
    run.success().await.with_context(|| format!("running openssl {words}"))?;
    Ok(())
}

async fn certificates(dir: &Path) -> Result<()> {
    const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for authority in ["ca", "stray-ca"] {
        let out = format!("-keyout {authority}.key -out {authority}.pem -subj /CN={authority} -days 30");
        openssl(dir, &format!("req -x509 {KEY} {out}")).await?;
    }
    for (file, name, days, authority) in CERTIFICATES {
        openssl(dir, &format!("req {KEY} -keyout {file}.key -out {file}.csr -subj /CN={name}")).await?;
        std::fs::write(dir.join("names"), format!("subjectAltName=DNS:{name}\n")).context("writing a name")?;
        let signed = format!("-CA {authority}.pem -CAkey {authority}.key -CAcreateserial -days {days} -extfile names");
        openssl(dir, &format!("x509 -req -in {file}.csr {signed} -out {file}.pem")).await?;
    }
    Ok(())
}

/// What nginx hands on to: one answers late, one never; on 9103 nobody listens.
async fn behind() -> Result<()> {
    for (port, answers) in [(9101, true), (9102, false)] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.context("listening behind nginx")?;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answers));
            }
        });
    }
    Ok(())
}

async fn serve(mut stream: TcpStream, answers: bool) {
    let mut head = [0; 2048];
    let _ = stream.read(&mut head).await;
    if !answers {
        return std::future::pending().await;
    }
    tokio::time::sleep(LATE).await;
    // Whoever asked may have given up.
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlate").await;
}

async fn nginx(dir: &Path) -> Result<Started> {
    let mut servers = String::new();
    for (file, name, ..) in CERTIFICATES {
        let tls = format!("listen 127.0.0.1:8443 ssl; ssl_certificate {file}.pem; ssl_certificate_key {file}.key;");
        writeln!(
            servers,
            "server {{ {tls} server_name {name};
               location = / {{ return 200 'Wiki.js at $host'; }}
               location = /login {{ return 302 https://auth.lan/; }}
               location = /moved {{ return 301 /; }}
               location = /late {{ proxy_pass http://127.0.0.1:9101; }}
               location = /hung {{ proxy_pass http://127.0.0.1:9102; }}
               location = /broken {{ proxy_pass http://127.0.0.1:9103; }} }}"
        )?;
    }
    let text = format!(
        "daemon off; master_process off; pid nginx.pid; error_log stderr notice; worker_processes 1;
         events {{ worker_connections 64; }}
         http {{ access_log off; client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp;
                scgi_temp_path tmp; {servers} }}"
    );
    std::fs::write(dir.join("nginx.conf"), text).context("writing nginx's configuration")?;
    start_nginx(dir).await
}

async fn start_nginx(dir: &Path) -> Result<Started> {
    let path = dir.join("nginx.log");
    let log = std::fs::File::create(&path).context("making nginx's log")?;
    let run = Run::new(tool("nginx")?, Duration::ZERO).arg("-e").arg("stderr");
    let mut started = run.arg("-p").arg(dir).arg("-c").arg(dir.join("nginx.conf")).start(log)?;
    until("nginx to serve", UP_LIMIT, async || {
        if let Some(status) = started.ended()? {
            bail!("nginx ended with {status}; its words are in {}", path.display());
        }
        Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, 8443)).await.ok())
    })
    .await?;
    Ok(started)
}

/// A check of `https://NAME.lan/PATH` through nginx, with more settings.
fn service(dir: &Path, name: &str, host: &str, path: &str, more: &str) -> String {
    let ca = dir.join("ca.pem").display().to_string();
    format!(
        "[[service]]\nname = \"{name}\"\nurl = \"https://{host}/{path}\"\nconnect_to = \"127.0.0.1:8443\"\n\
         ca_file = \"{ca}\"\ntimeout_secs = 2\n{more}\n"
    )
}

/// One look by the program, as `hardstand health --local --json`.
pub(super) async fn look(scene: &Scene, dir: &Path, config: &str) -> Result<Health> {
    let file = dir.join("local.toml");
    std::fs::write(&file, config).context("writing a configuration")?;
    let check = Run::new(&scene.program, TOOL_LIMIT).args(["config", "check"]).arg(&file);
    check.success().await.context("checking the configuration")?;
    let run = Run::new(&scene.program, PASS_LIMIT).args(["health", "--local", "--json", "--config"]).arg(&file);
    asked(run).await
}

async fn asked(run: Run) -> Result<Health> {
    let output = run.output().await?;
    let stdout = String::from_utf8(output.stdout).context("reading what hardstand says")?;
    Health::read(&Said { status: output.code.unwrap_or(-1), stdout, stderr: output.stderr })
}

/// Holds one finding: its severity, and a part of what is told.
pub(super) fn holds(health: &Health, (check, subject, severity): (&str, &str, &str), told: &str) -> Result<()> {
    let found = health.findings.iter().find(|row| row.check == check && row.subject == subject);
    let found = found.with_context(|| format!("there is no finding {check} of {subject}"))?;
    ensure!(found.severity == severity, "{check} of {subject} is {}, not {severity}: {found:?}", found.severity);
    let said = format!("{} {}", found.summary, found.evidence);
    ensure!(said.contains(told), "{check} of {subject} does not say {told:?}: {found:?}");
    Ok(())
}

/// Every way in which an answer is good or is not, in one look: all are asked side by side.
async fn answers(scene: &Scene, dir: &Path) -> Result<()> {
    let mut config = String::new();
    let on = |name, path, more| service(dir, name, "wiki.lan", path, more);
    config += &on("page", "", "body_contains = \"Wiki.js at wiki.lan\"\nrequired = true");
    config += &on("text", "", "body_contains = \"Immich\"\nrequired = true");
    config += &on("login", "login", "location = \"https://auth.lan/\"");
    config += &on("elsewhere", "login", "location = \"https://auth.example/\"");
    config += &on("surprise", "login", "");
    config += &on("followed", "moved", "redirects = 1\nbody_contains = \"Wiki.js\"");
    config += &on("missing", "nothing", "");
    config += &on("absent", "nothing", "status = [\"404\", \"410\"]");
    config += &on("late", "late", "latency_warn_seconds = 0.3");
    config += &on("hung", "hung", "required = true");
    config += &on("broken", "broken", "required = true");
    config += &service(dir, "soon", "soon.lan", "", "");
    config += &service(dir, "last", "last.lan", "", "");
    config += &service(dir, "old", "old.lan", "", "");
    config += &service(dir, "stray", "stray.lan", "", "");
    // nginx shows its first certificate for a name it does not know.
    config += &service(dir, "name", "other.lan", "", "");
    config += "[[service]]\nname = \"system\"\nurl = \"https://wiki.lan/\"\nconnect_to = \"127.0.0.1:8443\"\n";
    config += "[[service]]\nname = \"refused\"\nurl = \"http://127.0.0.1:9103/\"\nrequired = true\n";
    config += "[[service]]\nname = \"plain\"\nurl = \"http://127.0.0.1:8443/\"\n";
    config += "[[service]]\nname = \"blind\"\nurl = \"https://wiki.lan/\"\nca_file = \"/nonexistent/ca.pem\"\n";
    let health = look(scene, dir, &config).await?;
    let (up, certificate) = ("service.up", "service.certificate");
    for (finding, told) in [
        ((up, "page", "ok"), "200 after"),
        ((up, "text", "crit"), "it answered 200 without \"Immich\""),
        ((up, "login", "ok"), "302 after"),
        ((up, "elsewhere", "warn"), "it answered 302 to https://auth.lan/, not to https://auth.example/"),
        ((up, "surprise", "warn"), "it answered 302 to https://auth.lan/"),
        ((up, "followed", "ok"), "200 after"),
        ((up, "missing", "warn"), "it answered 404"),
        ((up, "absent", "ok"), "404 after"),
        ((up, "late", "ok"), "200 after"),
        (("service.latency", "late", "warn"), "it should answer within 300 ms"),
        ((up, "hung", "crit"), "no answer within 2 s"),
        ((up, "broken", "crit"), "it answered 502"),
        ((certificate, "page", "ok"), "90 days"),
        ((certificate, "soon", "warn"), "expires in 10 days"),
        ((up, "soon", "ok"), "200 after"),
        ((certificate, "last", "crit"), "expires in 48 h"),
        ((up, "old", "warn"), "its certificate has expired"),
        ((certificate, "old", "crit"), "expired 24 h ago"),
        ((up, "stray", "warn"), "not signed by an authority in"),
        ((up, "name", "warn"), "not for other.lan but for"),
        ((up, "system", "warn"), "/etc/ssl/certs/ca-certificates.crt; name the right one in ca_file"),
        ((up, "refused", "crit"), "Connection refused"),
        ((up, "plain", "warn"), "it answered 400"),
        ((up, "blind", "unknown"), "reading /nonexistent/ca.pem"),
    ] {
        holds(&health, finding, told)?;
        scene.say(&format!("{} {}: {}, {told}", finding.0, finding.1, finding.2));
    }
    Ok(())
}

/// Certificates in files and at ports, backups, drills, and a server that is none of S3.
async fn files(scene: &Scene, dir: &Path) -> Result<()> {
    let at = |name: &str| dir.join(name).display().to_string();
    let write =
        |name: &str, text: &str| std::fs::write(dir.join(name), text).with_context(|| format!("writing {name}"));
    std::fs::create_dir_all(dir.join("dump")).context("making a directory for backups")?;
    write("dump/wiki.tar.zst", "whole")?;
    write("dump/wiki.log", "ended")?;
    write("drills", "2020-01-01 restored the wiki: good\n")?;
    write("keys", "aws_access_key_id = AKIA\naws_secret_access_key = geheim\n")?;
    let mode = |mode| std::fs::set_permissions(dir.join("keys"), std::fs::Permissions::from_mode(mode));
    mode(0o644).context("letting everybody read the keys")?;
    let (dump, keys, ca) = (at("dump"), at("keys"), at("ca.pem"));
    let config = format!(
        "[certificates]\nfiles = [\"{}\", \"{}\", \"/nonexistent.pem\"]\nendpoints = [\"127.0.0.1:8443\", \"127.0.0.1:9103\"]\n\
         [[backup]]\nname = \"wiki\"\npath = \"{dump}\"\nsuffix = \".zst\"\n\
         [[backup]]\nname = \"photos\"\npath = \"{dump}\"\nsuffix = \".sql\"\nrequired = true\n\
         [[backup]]\nname = \"dated\"\npath = \"{}\"\ndated_by = \"text\"\n\
         [[backup]]\nname = \"gone\"\npath = \"{dump}/gone\"\n\
         [[backup]]\nname = \"restore\"\nkind = \"drill\"\npath = \"{}\"\n\
         [[backup]]\nname = \"bucket\"\nkind = \"s3\"\nendpoint = \"https://localhost:8443\"\nbucket = \"b\"\n\
         credentials = \"{keys}\"\nca_file = \"{ca}\"\n",
        at("wiki.pem"),
        at("old.pem"),
        at("drills"),
        at("drills"),
    );
    let health = look(scene, dir, &config).await?;
    let (expiry, age) = ("certificate.expiry", "backup.age");
    for (finding, told) in [
        ((expiry, at("wiki.pem").as_str(), "ok"), "90 days"),
        ((expiry, &at("old.pem"), "crit"), "expired 24 h ago"),
        ((expiry, "/nonexistent.pem", "unknown"), "take it out of [certificates] files"),
        ((expiry, "127.0.0.1:8443", "ok"), "90 days"),
        ((expiry, "127.0.0.1:9103", "unknown"), "Connection refused"),
        ((age, "wiki", "ok"), "wiki.tar.zst (1 in"),
        ((age, "photos", "crit"), "there is none"),
        ((age, "dated", "crit"), "should be at most 26 h old"),
        ((age, "gone", "unknown"), "see whether it is mounted"),
        (("backup.drill", "restore", "crit"), "restore something"),
        ((age, "bucket", "unknown"), "everybody may use these keys"),
    ] {
        holds(&health, finding, told)?;
        scene.say(&format!("{} {}: {}, {told}", finding.0, finding.1, finding.2));
    }
    mode(0o600).context("keeping the keys")?;
    let health = look(scene, dir, &config).await?;
    holds(&health, (age, "bucket", "unknown"), "its certificate is not for localhost")?;
    let wiki = config.replace("https://localhost:8443", "http://127.0.0.1:8443");
    holds(&look(scene, dir, &wiki).await?, (age, "bucket", "unknown"), "it answered 400")?;
    scene.say("keys are used when they are kept, and go to no server whose certificate does not hold");
    Ok(())
}

/// An agent watches nginx being stopped and started, is stopped itself, and remembers.
async fn over_time(scene: &Scene, dir: &Path, nginx: &mut Started) -> Result<()> {
    let more = "interval_secs = 1\nslo_percent = 99.9\nwindows = [\"1h\", \"24h\"]\nrequired = true";
    let config = service(dir, "wiki", "wiki.lan", "", more)
        + "[probe]\ninterval_secs = 1\ndeadline_secs = 1\n[metrics]\nlisten = \"127.0.0.1:9787\"\n";
    std::fs::write(dir.join("agent.toml"), config).context("writing the agent's configuration")?;
    std::fs::create_dir_all(dir.join("state")).context("making the agent's directory")?;
    let agent = start_agent(scene, dir).await?;
    seen(scene, dir, ("service.up", "wiki", "ok"), "200 after").await?;
    seen(scene, dir, ("service.slo", "wiki", "ok"), "100 % of 99.90 % promised").await?;
    nginx.kill().await?;
    seen(scene, dir, ("service.up", "wiki", "crit"), "Connection refused").await?;
    seen(scene, dir, ("service.slo", "wiki", "warn"), "of 99.90 % promised").await?;
    *nginx = start_nginx(dir).await?;
    seen(scene, dir, ("service.up", "wiki", "ok"), "200 after").await?;
    let before = page(scene, "hardstand_service_availability_ratio{service=\"wiki\",window=\"24h\"}").await?;
    ensure!(before > 0.0 && before < 1.0, "the page says {before}");
    stop(agent).await?;
    let _agent = start_agent(scene, dir).await?;
    let after = page(scene, "hardstand_service_availability_ratio{service=\"wiki\",window=\"24h\"}").await?;
    ensure!(after >= before && after < 1.0, "{before} became {after} over a restart of the agent");
    let up = page(scene, "hardstand_service_up{service=\"wiki\"}").await?;
    ensure!(up > 0.5, "the page says {up}");
    scene.say(&format!("the share of good time outlives the agent: {before:.3}, then {after:.3}"));
    Ok(())
}

pub(super) async fn start_agent(scene: &Scene, dir: &Path) -> Result<Started> {
    let path = dir.join("agent.log");
    let log = std::fs::File::options().create(true).append(true).open(&path).context("making the agent's log")?;
    let run = Run::new(&scene.program, Duration::ZERO).args(["agent", "--config"]).arg(dir.join("agent.toml"));
    let run = run.arg("--state").arg(dir.join("state")).arg("--socket").arg(dir.join("agent.sock"));
    let mut started = run.start(log)?;
    until("the agent to serve its page", UP_LIMIT, async || {
        if let Some(status) = started.ended()? {
            bail!("the agent ended with {status}; its words are in {}", path.display());
        }
        Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, 9787)).await.ok())
    })
    .await?;
    Ok(started)
}

/// Ends it as a service manager would, so that it keeps what it knows.
pub(super) async fn stop(mut agent: Started) -> Result<()> {
    let pid = i32::try_from(agent.pid().context("the agent has ended")?).context("reading a process id")?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM)
        .context("ending the agent")?;
    let ended = agent.wait(UP_LIMIT).await?;
    ensure!(ended.code == Some(0), "the agent ended with {}", ended.status);
    Ok(())
}

pub(super) async fn seen(scene: &Scene, dir: &Path, finding: (&str, &str, &str), told: &str) -> Result<()> {
    let what = format!("{} of {} to be {}", finding.0, finding.1, finding.2);
    let mut last = String::new();
    let waited = until(&what, SEEN_LIMIT, async || {
        let run =
            Run::new(&scene.program, TOOL_LIMIT).args(["health", "--json", "--socket"]).arg(dir.join("agent.sock"));
        match holds(&asked(run).await?, finding, told) {
            Ok(()) => Ok(Some(())),
            Err(error) => {
                last = error.to_string();
                Ok(None)
            }
        }
    });
    waited.await.with_context(|| last.clone())?;
    scene.say(&format!("{} {}: {}, {told}", finding.0, finding.1, finding.2));
    Ok(())
}

/// A number on the metrics page.
pub(super) async fn page(scene: &Scene, series: &str) -> Result<f64> {
    let page = until("the metrics page", UP_LIMIT, async || {
        let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, 9787)).await else { return Ok(None) };
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.context("asking for the page")?;
        let mut page = String::new();
        stream.read_to_string(&mut page).await.context("reading the page")?;
        Ok(Some(page))
    })
    .await?;
    std::fs::write(scene.dir.join("metrics.txt"), &page).context("keeping the metrics page")?;
    let value =
        page.lines().find_map(|line| line.strip_prefix(series)).with_context(|| format!("{series} is missing"))?;
    value.trim().parse().with_context(|| format!("reading {series}"))
}
