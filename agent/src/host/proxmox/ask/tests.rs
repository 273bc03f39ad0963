//! Tests of what is needed to ask, and of what is made of answers: a made-up server says what it is told to. Over TLS the
//! whole is asked in the lab.

use hardstand_core::settings::ProxmoxSettings;
use hardstand_exec::Run;

use super::*;
use crate::host::Scratch;

const TOKEN: &str = "hardstand@pve!one=7a3c1f9e-52d4-4e0b-9c11-0d2b6f1c8a44";

fn settings() -> ProxmoxSettings {
    ProxmoxSettings { ca_file: "/ca.pem".to_owned(), ..ProxmoxSettings::default() }
}

/// A host of Proxmox VE with a token and an authority.
fn host() -> Scratch {
    let host = Scratch::new();
    host.write("usr/bin/pveproxy", "");
    host.write("proc/sys/kernel/hostname", "one.lan\n");
    give_token(&host, TOKEN, 0o640);
    let key = rcgen::KeyPair::generate().unwrap();
    let authority = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
    host.write("ca.pem", authority.pem());
    host
}

fn give_token(host: &Scratch, token: &str, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = host.write("etc/hardstand/credentials/pve-token", token);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn refusal_of(host: &Scratch, settings: &ProxmoxSettings) -> String {
    match Access::find(host, settings) {
        Err(error) => error.to_string(),
        Ok(access) => panic!("{}", access.is_some()),
    }
}

#[test]
fn a_host_of_another_kind_is_not_asked() {
    let host = Scratch::new();
    assert!(Access::find(&host, &settings()).unwrap().is_none());
    let elsewhere = ProxmoxSettings { endpoint: "https://pve1.lan:8006".to_owned(), ..settings() };
    assert!(refusal_of(&host, &elsewhere).contains("does not tell its name; say it in [proxmox] node"));
    host.write("var/lib/dpkg/info/pve-manager.list", "");
    host.write("proc/sys/kernel/hostname", "one\n");
    assert!(refusal_of(&host, &settings()).contains("pve-token: No such file"));
}

#[test]
fn a_token_is_read_and_never_shown() {
    let host = host();
    let access = Access::find(&host, &settings()).unwrap().unwrap();
    assert_eq!((&*access.node, &*access.token_id), ("one", "hardstand@pve!one"));
    assert_eq!(access.token.to_str().unwrap(), format!("PVEAPIToken={TOKEN}"));
    assert!(!format!("{:?}", access.token).contains("7a3c"), "it is marked as a secret");
    give_token(&host, &format!("PVEAPIToken={TOKEN}\n"), 0o600);
    assert_eq!(Access::find(&host, &settings()).unwrap().unwrap().token, access.token);
    let named = ProxmoxSettings { node: Some("two".to_owned()), ..settings() };
    assert_eq!(Access::find(&host, &named).unwrap().unwrap().node, "two");
}

#[test]
fn what_is_missing_is_told_with_how_to_make_it() {
    let host = host();
    let how = "pveum user add hardstand@pve; pveum acl modify / --users hardstand@pve --roles PVEAuditor";
    for (token, mode, told) in [
        (TOKEN, 0o644, "everybody may use this token"),
        ("hardstand@pve!one", 0o640, "it is not USER@REALM!NAME=SECRET"),
        ("hardstand!one=7a3c", 0o640, "it is not USER@REALM!NAME=SECRET"),
        ("hardstand@pve=7a3c", 0o640, "it is not USER@REALM!NAME=SECRET"),
        ("hardstand@pve!one=7a3c\nmore=7a3c", 0o640, "it is not USER@REALM!NAME=SECRET"),
        ("", 0o640, "it is not USER@REALM!NAME=SECRET"),
    ] {
        give_token(&host, token, mode);
        let said = refusal_of(&host, &settings());
        assert!(said.contains(told) && said.contains(how) && !said.contains("7a3c"), "{token}: {said}");
    }
    give_token(&host, TOKEN, 0o640);
    let elsewhere = ProxmoxSettings { ca_file: "/none.pem".to_owned(), ..settings() };
    let said = refusal_of(&host, &elsewhere);
    assert!(said.contains("install -m 644 /etc/pve/pve-root-ca.pem /etc/hardstand/pve-root-ca.pem"), "{said}");
}

/// The command that makes a token, run with a `pveum` that prints what the real one prints, leaves a file that is read.
#[tokio::test]
async fn the_command_that_makes_a_token_works() {
    let host = host();
    let path = host.path("etc/hardstand/credentials/pve-token");
    let told = how_to_make(&path, "one");
    let script = told.strip_prefix("to make one that may only look, as root: ").unwrap();
    let printed =
        r#"{"full-tokenid":"hardstand@pve!one","info":{"privsep":"0"},"value":"7a3c1f9e-52d4-4e0b-9c11-0d2b6f1c8a44"}"#;
    let script =
        format!("pveum() {{ [ \"$2\" != token ] || printf '%s\\n' '{printed}'; }}; chown() {{ :; }}; {script}");
    Run::new("/bin/sh", Duration::from_secs(20)).args(["-euc", &script]).success().await.unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{TOKEN}\n"));
    assert!(Access::find(&host, &settings()).unwrap().is_some());
}

#[test]
fn a_refusal_says_what_to_do() {
    let host = host();
    let (access, settings) = (Access::find(&host, &settings()).unwrap().unwrap(), settings());
    let api = Api { access: &access, settings: &settings, until: Instant::now() };
    for (status, reason, body, told) in [
        (
            401,
            Some("invalid token value!"),
            "",
            "answered 401 (invalid token value!): it does not take the token hardstand@pve!one",
        ),
        (
            403,
            Some("Permission check failed (/, Sys.Audit)"),
            "",
            "may not ask this; as root: pveum acl modify / --users hardstand@pve",
        ),
        (501, None, "", "answered 501: this release does not know the question"),
        (595, Some("No route to host"), "", "(No route to host): the node that was asked through this one"),
        (
            500,
            None,
            "{\"data\":null,\"message\":\"got no worker upid\\n\"}",
            "(the API says: got no worker upid): see: journalctl",
        ),
        (
            400,
            Some("Parameter verification failed."),
            "{\"data\":null,\"errors\":{\"a\":\"b\"}}",
            "(the API says: {\"a\":\"b\"})",
        ),
        (500, Some("x\u{1b}[31m"), "<html>", "answered 500 (x[31m)"),
    ] {
        let answer = Answer {
            status,
            reason: reason.map(str::to_owned),
            headers: HeaderMap::new(),
            body: body.as_bytes().to_vec(),
            whole: true,
        };
        let said = api.refused(&answer);
        assert!(said.contains(told) && !said.contains("7a3c"), "{told}: {said}");
    }
}

#[tokio::test]
async fn after_the_limit_nothing_is_asked() {
    let host = host();
    let (access, settings) = (Access::find(&host, &settings()).unwrap().unwrap(), settings());
    let api = Api { access: &access, settings: &settings, until: Instant::now() };
    let said = api.get("/version").await.unwrap_err();
    assert!(said.contains("there was no time left to ask for /version"), "{said}");
}

#[test]
fn names_in_paths_are_encoded() {
    assert_eq!(encoded("pve-1"), "pve-1");
    assert_eq!(encoded("UPID:one:0A::root@pam!t:"), "UPID%3Aone%3A0A%3A%3Aroot%40pam%21t%3A");
}
