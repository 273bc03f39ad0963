//! `kubernetes-sim`: the agent beside a Kubernetes cluster that falls ill in every way that counts, and gets well again. No
//! machine is booted, and no Kubernetes runs: its API is played by a simulator, with TLS, tokens, rights and pages.
//!
//! Real: the shipped program, TLS, openssl's certificates, the ClusterRole that the package ships. Made up: the API behind
//! them. What this shows is no more than that the agent keeps to the published API and tells what that says.

mod objects;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hardstand_exec::{Run, find};
use serde_json::json;

use crate::agent_here::{AgentHere, Ours};
use crate::health::Health;
use crate::scene::Scene;
use crate::simulator::kubernetes::{Cluster, State};

const ROLE: &str = include_str!("../../../agent/debian/kubernetes-reader.yaml");
const PORTS: [u16; 2] = [6443, 6444];
const TOKEN: &str = "first.token\n";
/// openssl makes a key in milliseconds; `ip` only talks to the kernel.
const TOOL_LIMIT: Duration = Duration::from_secs(30);
/// One look by the program: the longest limit of a collector, and the node's own files.
const LOOK_LIMIT: Duration = Duration::from_secs(60);
/// Two seconds between two questions, ten for an answer, a pass; the rest is a busy machine.
const UNKNOWN_LIMIT: Duration = Duration::from_secs(30);
/// What of an agent's findings this story is about.
const OURS: Ours = Ours { group: "kubernetes", collector: "kubernetes", seen_limit: Duration::from_secs(40) };

pub(crate) async fn run(scene: &Scene) -> Result<()> {
    Run::new(tool("ip")?, TOOL_LIMIT).args(["link", "set", "lo", "up"]).success().await?;
    let dir = scene.dir.canonicalize().context("finding the story's directory")?;
    let mut cluster = serve(&dir).await?;
    scene.say("two API servers answer, of a simulator");
    kubeconfigs(scene, &dir).await.context("with a kubeconfig")?;
    secret(&dir, "token", TOKEN, 0o600)?;
    let own = "[node]\nname = \"this\"\nexpect = [\"kubernetes\"]\n";
    let agent = AgentHere::start(scene, &format!("{own}{}interval_secs = 2\n", section(&dir)), OURS).await?;
    well(&agent).await?;
    nodes(&agent, &cluster).await.context("with nodes that are ill")?;
    budgets(&agent, &cluster).await.context("with budgets that are not met")?;
    pods(&agent, &cluster).await.context("with pods that are in the way")?;
    flux(&agent, &cluster).await.context("with Flux")?;
    refusals(&agent, &cluster, &dir).await.context("with an API that refuses")?;
    outages(&agent, &mut cluster).await.context("with an API that does not answer")?;
    well(&agent).await?;
    only_looked(scene, &cluster)
}

/// The simulator, in which all is well, with its certificates below `dir`.
async fn serve(dir: &Path) -> Result<Cluster> {
    certificates(dir).await?;
    let mut cluster = Cluster::new(dir, ROLE)?;
    objects::put(&mut cluster.state());
    cluster.state().tokens.insert(TOKEN.trim().to_owned());
    for port in PORTS {
        cluster.up(port).await?;
    }
    Ok(cluster)
}

/// The same for somebody else, and the section of a configuration that has it asked.
pub(crate) async fn beside(dir: &Path) -> Result<(Cluster, String)> {
    secret(dir, "token", TOKEN, 0o600)?;
    Ok((serve(dir).await?, section(dir)))
}

fn tool(name: &str) -> Result<PathBuf> {
    find(name).with_context(|| format!("finding {name}; start through qemu/lab, which installs it"))
}

/// An authority, a server's certificate, a client's, and a stranger's.
async fn certificates(dir: &Path) -> Result<()> {
    const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    let openssl = async |words: String| {
        let run = Run::new(tool("openssl")?, TOOL_LIMIT).args(words.split(' ')).dir(dir);
        run.success().await.with_context(|| format!("running openssl {words}")).map(drop)
    };
    for authority in ["ca", "stranger"] {
        openssl(format!("req -x509 {KEY} -keyout {authority}.key -out {authority}.pem -subj /CN={authority} -days 30"))
            .await?;
    }
    std::fs::write(dir.join("names"), "subjectAltName=IP:127.0.0.1\n").context("writing a name")?;
    for (file, authority, days) in [("server", "ca", 365), ("client", "ca", 10), ("other", "stranger", 365)] {
        openssl(format!("req {KEY} -keyout {file}.key -out {file}.csr -subj /CN={file}")).await?;
        let signed = format!("-CA {authority}.pem -CAkey {authority}.key -CAcreateserial -days {days} -extfile names");
        openssl(format!("x509 -req -in {file}.csr {signed} -out {file}.pem")).await?;
    }
    Ok(())
}

fn secret(dir: &Path, name: &str, text: &str, mode: u32) -> Result<()> {
    let path = dir.join(name);
    std::fs::write(&path, text).with_context(|| format!("writing {name}"))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).with_context(|| format!("keeping {name}"))
}

fn section(dir: &Path) -> String {
    format!(
        "[kubernetes]\nendpoints = [\"https://127.0.0.1:{}\", \"https://127.0.0.1:{}\"]\nnodes = [\"k1\"]\n\
         token_file = {:?}\nca_file = {:?}\nrequire_flux = true\n",
        PORTS[0],
        PORTS[1],
        dir.join("token"),
        dir.join("ca.pem"),
    )
}

/// A kubeconfig as K3s writes it, with this client's certificate.
fn kubeconfig(dir: &Path, client: &str, authority: &str) -> Result<String> {
    let data = |name: String| {
        let bytes = std::fs::read(dir.join(&name)).with_context(|| format!("reading {name}"))?;
        anyhow::Ok(STANDARD.encode(bytes))
    };
    Ok(format!(
        "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {}\n    server: https://127.0.0.1:{}\n  \
         name: default\ncontexts:\n- context:\n    cluster: default\n    user: default\n  name: default\n\
         current-context: default\nkind: Config\npreferences: {{}}\nusers:\n- name: default\n  user:\n    \
         client-certificate-data: {}\n    client-key-data: {}\n",
        data(format!("{authority}.pem"))?,
        PORTS[0],
        data(format!("{client}.pem"))?,
        data(format!("{client}.key"))?,
    ))
}

/// One look by the program, as `hardstand health --local --json`.
async fn look(scene: &Scene, dir: &Path, finding: (&str, &str, &str), words: &str) -> Result<()> {
    let file = dir.join("local.toml");
    let text = format!("[kubernetes]\nkubeconfig = {:?}\nnodes = [\"k1\"]\n", dir.join("kubeconfig"));
    std::fs::write(&file, text).context("writing a configuration")?;
    let run =
        Run::new(&scene.program, LOOK_LIMIT).args(["health", "--local", "--json", "--all", "--config"]).arg(&file);
    let output = run.output().await?;
    let stdout = String::from_utf8(output.stdout).context("reading what hardstand says")?;
    let said = crate::guest::Said { status: output.code.unwrap_or(-1), stdout, stderr: output.stderr };
    let health = Health::read(&said)?;
    let (check, subject, severity) = finding;
    let found = health.worst(check, subject).with_context(|| format!("there is no finding {check} of {subject}"))?;
    let told = format!("{}; {}", found.summary, found.evidence);
    ensure!(found.severity == severity && told.contains(words), "{finding:?} with {words:?} is not {found:?}");
    ensure!(!told.contains("PRIVATE"), "a key is shown: {told}");
    scene.say(&format!("{check} {subject}: {severity}, {words}"));
    Ok(())
}

async fn kubeconfigs(scene: &Scene, dir: &Path) -> Result<()> {
    let good = kubeconfig(dir, "client", "ca")?;
    secret(dir, "kubeconfig", &good, 0o640)?;
    look(scene, dir, ("kubernetes.node", "all", "ok"), "3 nodes, all ready").await?;
    look(scene, dir, ("kubernetes.certificate", "agent", "warn"), "expires in 10 days").await?;
    let collector = ("collector", "kubernetes", "unknown");
    secret(dir, "kubeconfig", &good, 0o644)?;
    look(scene, dir, collector, "everybody may use it").await?;
    secret(dir, "kubeconfig", &kubeconfig(dir, "client", "stranger")?, 0o640)?;
    look(scene, dir, collector, "its certificate is not signed by an authority in").await?;
    secret(dir, "kubeconfig", &kubeconfig(dir, "other", "ca")?, 0o640)?;
    look(scene, dir, collector, "no API server of Kubernetes can be asked: https://127.0.0.1:6443").await?;
    let exec = good.replace("    client-key-data", "    exec: {}\n    client-key-data");
    secret(dir, "kubeconfig", &exec, 0o640)?;
    look(scene, dir, collector, "its user has \"exec\", which is not done here").await
}

/// Everything that the agent has to say of a cluster that is whole.
async fn well(agent: &AgentHere<'_>) -> Result<()> {
    for (check, subject, words) in [
        ("expected", "kubernetes", "1 cluster"),
        ("api", "https://127.0.0.1:6443", "ready"),
        ("api", "https://127.0.0.1:6444", "ready"),
        ("node", "all", "3 nodes, all ready"),
        ("schedulable", "all", "all take pods"),
        ("quorum", "servers", "of 3 servers with etcd, 2 are ready elsewhere, 2 are needed"),
        ("budget", "all", "1, all met, none in the way"),
        ("pods", "k1", "2 pods, 1 of them would move"),
        ("volumes", "k1", "no pod gives up scratch space"),
        ("stuck", "k1", "of 2 pods none is stuck"),
        ("flux", "all", "2 objects, all ready"),
    ] {
        agent.sees((&format!("kubernetes.{check}"), subject, "ok"), words).await?;
    }
    agent.is_free().await?;
    agent.scene.say("all of the cluster is well, and nothing of it is in the way");
    agent.shows(r#"hardstand_kubernetes_nodes{ready="true"} 3"#).await?;
    agent.shows("hardstand_kubernetes_pods 2").await?;
    agent.shows(r#"hardstand_kubernetes_api_up{endpoint="https://127.0.0.1:6443"} 1"#).await
}

/// Changes the cluster until all of it is put anew.
fn change(cluster: &Cluster, how: impl FnOnce(&mut State)) {
    let mut state = cluster.state();
    objects::put(&mut state);
    how(&mut state);
}

async fn nodes(agent: &AgentHere<'_>, cluster: &Cluster) -> Result<()> {
    let ready = |state: &mut State, place: usize, status: &str, reason: &str| {
        let node = state.objects.get_mut("nodes").and_then(|nodes| nodes.get_mut(place)).expect("there are three");
        let conditions = node["status"]["conditions"].as_array_mut().expect("they are a list");
        let last = conditions.last_mut().expect("the last is Ready");
        (last["status"], last["reason"]) = (json!(status), json!(reason));
    };
    change(cluster, |state| ready(state, 1, "Unknown", "NodeStatusUnknown"));
    agent.finds(("kubernetes.node", "k2", "crit"), "it is not heard from (NodeStatusUnknown").await?;
    agent.finds(("kubernetes.quorum", "servers", "warn"), "1 of 2 servers").await?;
    agent.is_also_blocked_by("kubernetes.node k2").await?;
    agent.is_also_blocked_by("kubernetes.quorum servers").await?;
    agent.shows(r#"hardstand_kubernetes_nodes{ready="unknown"} 1"#).await?;
    change(cluster, |state| ready(state, 0, "False", "KubeletNotReady"));
    agent.finds(("kubernetes.node", "k1", "crit"), "it is not ready (KubeletNotReady").await?;
    agent.is_free().await.context("one of ours that is down may be restarted")?;
    change(cluster, |state| ready(state, 1, "Perhaps", "Odd"));
    agent.finds(("kubernetes.node", "k2", "unknown"), "told as \"Perhaps\"").await?;
    change(cluster, |state| {
        let node = &mut state.objects.get_mut("nodes").expect("there are nodes")[1];
        node["spec"]["unschedulable"] = json!(true);
    });
    agent.finds(("kubernetes.schedulable", "k2", "warn"), "kubectl uncordon k2").await?;
    agent.is_free().await?;
    change(cluster, |_| {});
    well(agent).await
}

async fn budgets(agent: &AgentHere<'_>, cluster: &Cluster) -> Result<()> {
    let put = |numbers| {
        change(cluster, |state| drop(state.objects.insert("poddisruptionbudgets", vec![objects::budget(numbers)])))
    };
    put([3, 3, 3]);
    agent.finds(("kubernetes.budget", "home/web", "warn"), "it never lets web-1 go: 3 of 3 pods must stay").await?;
    agent.is_free().await.context("a drain would wait, and nothing is ill")?;
    put([2, 1, 3]);
    agent.finds(("kubernetes.budget", "home/web", "warn"), "1 of 2 pods that must be healthy are").await?;
    agent.is_also_blocked_by("kubernetes.budget home/web").await?;
    agent
        .shows(r#"kube_poddisruptionbudget_status_current_healthy{namespace="home",poddisruptionbudget="web"} 1"#)
        .await?;
    put([2, 3, 3]);
    well(agent).await
}

async fn pods(agent: &AgentHere<'_>, cluster: &Cluster) -> Result<()> {
    change(cluster, |state| {
        let pods = state.objects.get_mut("pods").expect("there are pods");
        let mut alone = objects::pod("alone", "k1", "none");
        alone["metadata"]["ownerReferences"] = json!([]);
        let mut bound = objects::pod("db-0", "k1", "db");
        bound["spec"]["volumes"] = json!([{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]);
        let mut stuck = objects::pod("old", "k1", "old");
        stuck["metadata"]["deletionTimestamp"] = json!(objects::ago(Duration::from_secs(1200)));
        let mut ending = objects::pod("ending", "k1", "old");
        ending["metadata"]["deletionTimestamp"] = json!(objects::ago(Duration::from_secs(20)));
        ending["spec"]["volumes"] = json!([{"name": "tmp", "emptyDir": {"medium": "Memory"}}]);
        pods.extend([alone, bound, stuck, ending]);
        state.forgets = 1;
    });
    agent.finds(("kubernetes.pods", "k1", "warn"), "a drain would lose 1 pods (home/alone)").await?;
    agent.finds(("kubernetes.volumes", "k1", "warn"), "1 pods are bound to it by their volumes (home/db-0)").await?;
    agent.finds(("kubernetes.volumes", "k1", "warn"), "1 give up scratch space (emptyDir): home/ending").await?;
    agent.finds(("kubernetes.stuck", "k1", "warn"), "1 pods do not end (home/old)").await?;
    ensure!(cluster.state().forgets == 0, "a list was never begun anew");
    agent.is_free().await?;
    change(cluster, |_| {});
    well(agent).await
}

async fn flux(agent: &AgentHere<'_>, cluster: &Cluster) -> Result<()> {
    change(cluster, |state| {
        let release = &mut state.objects.get_mut("helmreleases").expect("there is one")[0];
        release["status"]["conditions"] = json!([
            {"type": "Ready", "status": "False", "reason": "UpgradeFailed", "message": "Helm upgrade failed: timed out"},
        ]);
        state.objects.get_mut("kustomizations").expect("there is one")[0]["spec"]["suspend"] = json!(true);
    });
    let failed = "it is not ready (UpgradeFailed: Helm upgrade failed: timed out)";
    agent.finds(("kubernetes.flux", "helmrelease flux-system/wiki", "warn"), failed).await?;
    agent.finds(("kubernetes.flux", "kustomization flux-system/apps", "info"), "it is suspended").await?;
    agent.shows(r#"hardstand_kubernetes_flux_objects{kind="helmrelease",state="failed"} 1"#).await?;
    agent.is_free().await?;
    change(cluster, |state| {
        state.absent.insert("helm.toolkit.fluxcd.io");
    });
    agent.finds(("kubernetes.flux", "helmrelease", "crit"), "the cluster knows no helmrelease of Flux").await?;
    change(cluster, |state| state.absent.clear());
    well(agent).await
}

async fn refusals(agent: &AgentHere<'_>, cluster: &Cluster, dir: &Path) -> Result<()> {
    change(cluster, |state| {
        state.refused.insert("poddisruptionbudgets");
    });
    let words = "it refuses (403): poddisruptionbudgets.policy is forbidden";
    agent.finds(("kubernetes.budget", "all", "unknown"), words).await?;
    agent.finds(("kubernetes.node", "all", "ok"), "3 nodes, all ready").await?;
    agent.is_also_blocked_by("kubernetes.budget all").await?;
    change(cluster, |state| {
        state.refused.clear();
        state.tokens = ["second.token".to_owned()].into();
    });
    agent.finds(("collector", "kubernetes", "unknown"), "it does not know us (401)").await?;
    agent.is_also_blocked_by("collector kubernetes").await?;
    secret(dir, "token", "second.token", 0o600)?;
    well(agent).await.context("with the token renewed under its name")?;
    secret(dir, "token", "second.token", 0o644)?;
    agent.finds(("collector", "kubernetes", "unknown"), "everybody may use it").await?;
    secret(dir, "token", "second.token", 0o600)?;
    change(cluster, |state| state.garbage = true);
    agent.finds(("collector", "kubernetes", "unknown"), "parsing a NodeList").await?;
    change(cluster, |state| state.garbage = false);
    well(agent).await
}

async fn outages(agent: &AgentHere<'_>, cluster: &mut Cluster) -> Result<()> {
    cluster.down(PORTS[0]).await;
    agent.finds(("kubernetes.api", "https://127.0.0.1:6443", "warn"), "https://127.0.0.1:6444 answers").await?;
    agent.finds(("kubernetes.node", "all", "ok"), "3 nodes, all ready").await?;
    agent.is_free().await?;
    cluster.down(PORTS[1]).await;
    agent.finds(("collector", "kubernetes", "unknown"), "no API server of Kubernetes can be asked").await?;
    agent.is_also_blocked_by("collector kubernetes").await?;
    for port in PORTS {
        cluster.up(port).await?;
    }
    cluster.state().failing = vec!["etcd"];
    agent.finds(("collector", "kubernetes", "unknown"), "it is not ready (etcd failed: reason withheld)").await?;
    cluster.state().failing.clear();
    well(agent).await?;
    cluster.state().hangs = true;
    agent.knows_nothing(UNKNOWN_LIMIT, "no answer within").await?;
    cluster.state().hangs = false;
    Ok(())
}

/// Nothing but what the role grants was ever asked for, and in no other way than to look.
fn only_looked(scene: &Scene, cluster: &Cluster) -> Result<()> {
    let state = cluster.state();
    let odd = state.log.iter().find(|line| !line.starts_with("GET ") || line.ends_with(" 400"));
    ensure!(odd.is_none(), "the API was asked {odd:?}");
    scene.say(&format!("{} questions, each to look, none that the API does not know", state.log.len()));
    Ok(())
}
