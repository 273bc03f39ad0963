//! Tests of tokens and kubeconfigs: what is taken, what is refused, and that no secret is said.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::host::Scratch;

const SECRET: &str = "c2VjcmV0";

struct Files {
    scratch: Scratch,
    authority: String,
    certificate: String,
    key: String,
}

impl Files {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["agent".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2027, 11, 26);
        let certificate = params.self_signed(&key).unwrap().pem();
        let files =
            Self { scratch: Scratch::new(), authority: certificate.clone(), certificate, key: key.serialize_pem() };
        files.put("ca.crt", &files.authority, 0o644);
        files.put("token", "header.payload.signature\n", 0o640);
        files
    }

    fn put(&self, name: &str, text: &str, mode: u32) {
        let path = self.scratch.write(name, text);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// As K3s writes it.
    fn kubeconfig(&self) -> String {
        let data = |text: &str| STANDARD.encode(text);
        format!(
            "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {}\n    server: https://127.0.0.1:6443\n  \
             name: default\ncontexts:\n- context:\n    cluster: default\n    user: default\n  name: default\n\
             current-context: default\nkind: Config\npreferences: {{}}\nusers:\n- name: default\n  user:\n    \
             client-certificate-data: {}\n    client-key-data: {}\n",
            data(&self.authority),
            data(&self.certificate),
            data(&self.key)
        )
    }

    fn access(&self, kubeconfig: &str) -> Result<Access, String> {
        self.put("config", kubeconfig, 0o640);
        let kubeconfig = Some("/config".to_owned());
        self.read(&KubernetesSettings { kubeconfig, ..KubernetesSettings::default() })
    }

    fn read(&self, settings: &KubernetesSettings) -> Result<Access, String> {
        Access::read(&self.scratch, settings).map_err(|error| error.to_string())
    }
}

fn by_token() -> KubernetesSettings {
    KubernetesSettings {
        endpoints: vec!["https://k1:6443".to_owned()],
        token_file: Some("/token".to_owned()),
        ca_file: Some("/ca.crt".to_owned()),
        ..KubernetesSettings::default()
    }
}

#[test]
fn a_token_is_shown_as_it_stands_in_its_file_now_and_to_nobody_else() {
    let files = Files::new();
    let access = files.read(&by_token()).unwrap();
    let bearer = access.bearer.unwrap();
    assert!(bearer.is_sensitive() && bearer == "Bearer header.payload.signature");
    files.put("token", "another", 0o600);
    assert_eq!(files.read(&by_token()).unwrap().bearer.unwrap(), "Bearer another");
    for (text, mode, told) in [
        (SECRET, 0o644, "parsing /token: everybody may use it: chmod 0640 it"),
        (SECRET, 0o641, "parsing /token: everybody may use it"),
        ("\n", 0o640, "parsing /token: it holds no token"),
        ("c2VjcmV0 c2VjcmV0", 0o640, "parsing /token: it holds more than a token"),
        ("c2VjcmV0\u{7f}", 0o640, "parsing /token: the token holds odd signs"),
        (&SECRET.repeat(1 << 16), 0o640, "parsing /token: it is too large"),
    ] {
        files.put("token", text, mode);
        let said = files.read(&by_token()).err().unwrap();
        assert!(said.starts_with(told) && !said.contains(SECRET), "{said}");
    }
    std::fs::remove_file(files.scratch.path("token")).unwrap();
    assert!(files.read(&by_token()).err().unwrap().contains("token: No such file"));
}

#[test]
fn a_kubeconfig_of_k3s_gives_all_that_is_needed() {
    let files = Files::new();
    let access = files.access(&files.kubeconfig()).unwrap();
    assert_eq!((&access.endpoints[..], access.bearer.is_none()), (&["https://127.0.0.1:6443".to_owned()][..], true));
    assert_eq!(access.certificate_until_unix_seconds, Some(1_827_187_200), "2027-11-26");
    let endpoints = vec!["https://k1:6443".to_owned(), "https://k2:6443".to_owned()];
    let kubeconfig = Some("/config".to_owned());
    let settings = KubernetesSettings { endpoints: endpoints.clone(), kubeconfig, ..KubernetesSettings::default() };
    assert_eq!(files.read(&settings).unwrap().endpoints, endpoints, "what is declared goes first");
    // As kubectl writes it as JSON, with a token.
    let json = serde_json::json!({
        "current-context": "c",
        "contexts": [{"name": "b", "context": {}}, {"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "x"}}],
        "clusters": [{"name": "k", "cluster": {"server": "https://k1:6443/", "certificate-authority-data": STANDARD.encode(&files.authority)}}],
        "users": [{"name": "u", "user": {"token": "header.payload"}}],
    });
    let access = files.access(&json.to_string()).unwrap();
    assert_eq!(
        (access.endpoints[0].as_str(), access.bearer.unwrap()),
        ("https://k1:6443", HeaderValue::from_static("Bearer header.payload"))
    );
}

#[test]
fn a_kubeconfig_that_wants_more_or_holds_less_is_refused_without_its_secrets() {
    let files = Files::new();
    let good = files.kubeconfig();
    let data = |name: &str| good.lines().find(|line| line.trim().starts_with(name)).unwrap().to_owned();
    let key = data("client-key-data");
    for (from, to, told) in [
        ("current-context: default\n", "", "it has no current-context"),
        ("current-context: default", "current-context: other", "it has no context of the name"),
        ("    cluster: default\n", "", "its context names no cluster"),
        ("    user: default\n", "    user: other\n", "it has no user of the name"),
        ("https://127.0.0.1:6443", "http://127.0.0.1:6443", "its server is no https://HOST:PORT"),
        ("https://127.0.0.1:6443", "https://c2VjcmV0@127.0.0.1:6443", "its server is no https://HOST:PORT"),
        (
            "    server:",
            "    insecure-skip-tls-verify: true\n    server:",
            "its cluster has \"insecure-skip-tls-verify\"",
        ),
        ("    client-key-data:", "    exec: {}\n    client-key-data:", "its user has \"exec\", which is not done here"),
        (&key, "    tokenFile: /x", "its user has \"tokenFile\""),
        (&key, "    token: c2VjcmV0 c2VjcmV0", "it holds more than a token"),
        (&key, "    client-key-data: c2VjcmV0%", "its client-key-data is no base64"),
        (&key, "    client-key-data: c2VjcmV0", "the key of its client: "),
        (&key, "", "its user has neither a token nor a certificate with its key"),
        (&data("certificate-authority-data"), "", "it has no certificate-authority-data"),
        (&data("certificate-authority-data"), "    certificate-authority-data: c2VjcmV0", "parsing /config: "),
        (
            "kind: Config",
            "kind: &c2VjcmV0 Config",
            "more of YAML than is understood here; write it anew: kubectl config",
        ),
        ("apiVersion", "{\"token\": \"c2VjcmV0", "parsing /config: control character"),
    ] {
        let said = files.access(&good.replacen(from, to, 1)).err().unwrap_or_else(|| panic!("{to} is taken"));
        assert!(said.contains(told) && !said.contains(SECRET), "{to:?}: {said}");
    }
    files.put("config", &good, 0o644);
    let settings = KubernetesSettings { kubeconfig: Some("/config".to_owned()), ..KubernetesSettings::default() };
    assert!(files.read(&settings).err().unwrap().starts_with("parsing /config: everybody may use it"));
    crate::host::feed_damaged(&good, |text| drop(of_kubeconfig(text, "/config")));
}
