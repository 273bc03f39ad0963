//! The key that TrueNAS knows this agent by.
//!
//! It must never be printed: [`ApiKey`] has no `Debug`.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::host::HostError;

/// A number, a dash and 64 characters are much shorter; what is longer does not fit into a message before login.
const LONGEST: usize = 1024;

/// `NUMBER-SECRET`
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ApiKey(String);

impl ApiKey {
    /// Reads it.
    ///
    /// # Errors
    /// When everybody may read the file, or it is no key.
    pub(super) fn read(path: &Path) -> Result<Self, HostError> {
        let read = |source| HostError::Read { path: path.to_owned(), source };
        let parse = |why: &str| HostError::Parse { what: path.display().to_string(), why: why.to_owned() };
        // Group bits may be an access list's mask, as systemd sets it on credentials.
        if std::fs::metadata(path).map_err(read)?.mode() & 0o007 != 0 {
            return Err(parse("everybody may use this key: chmod 0640 it, and have another one made"));
        }
        let text = std::fs::read_to_string(path).map_err(read)?;
        let key = text.trim();
        let is_key = key.split_once('-').is_some_and(|(number, secret)| {
            let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
            is_number && !secret.is_empty() && secret.bytes().all(|b| b.is_ascii_graphic())
        });
        match is_key && key.len() <= LONGEST {
            true => Ok(Self(key.to_owned())),
            false => Err(parse("it is no key of TrueNAS, which is NUMBER-SECRET in one line")),
        }
    }

    /// For the login alone.
    pub(super) fn secret(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::host::Scratch;

    #[test]
    fn a_key_is_read_when_it_is_one_and_kept() {
        let scratch = Scratch::new();
        let path = scratch.write("key", "5-geheim\n");
        let read = |mode| {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            ApiKey::read(&path).map(|key| key.secret().to_owned()).map_err(|error| error.to_string())
        };
        assert_eq!(read(0o640).unwrap(), "5-geheim");
        assert!(read(0o644).unwrap_err().contains("everybody may use this key"));
        let long = format!("5-{}", "x".repeat(2000));
        for bad in ["", "geheim", "-geheim", "5-", "x-geheim", "5-ge heim", "5-a\n6-b", &long] {
            std::fs::write(&path, bad).unwrap();
            let why = read(0o640).unwrap_err();
            assert!(why.contains("it is no key of TrueNAS") && !why.contains("heim"), "{bad}: {why}");
        }
    }
}
