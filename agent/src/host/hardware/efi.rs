//! EFI variables from efivarfs: boot entries and Secure Boot.
//!
//! It must never write a variable.

use hardstand_core::Reading;
use hardstand_core::observed::{BootEntry, FirmwareType};

use crate::host::{Host, HostError};

const VARIABLES: &str = "sys/firmware/efi/efivars";
/// The vendor of all global variables of the UEFI specification.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// Attributes that stand before the value of a variable in efivarfs.
const ATTRIBUTE_BYTES: usize = 4;
/// `LOAD_OPTION_ACTIVE`.
const ACTIVE: u32 = 1;

/// Reads the boot entries: those of `BootOrder` in its order, then the others by number.
///
/// # Errors
/// The variables cannot be read, or one of them is not of its form.
pub(crate) fn boot_entries(host: &Host) -> Result<Vec<BootEntry>, HostError> {
    let dir = host.path(VARIABLES);
    let names = std::fs::read_dir(&dir).map_err(|source| HostError::Read { path: dir, source })?;
    let order = numbers(host, "BootOrder")?;
    let current = numbers(host, "BootCurrent")?.first().copied();
    let mut entries = Vec::new();
    for name in names.filter_map(|entry| entry.ok()?.file_name().into_string().ok()) {
        let Some(number) = entry_number(&name) else { continue };
        let value = variable(host, &name)?.unwrap_or_default();
        let (description, active) = parse_load_option(&value)
            .map_err(|why| HostError::Parse { what: format!("the EFI variable {name}"), why })?;
        let place = order.iter().position(|ordered| *ordered == number);
        entries.push(BootEntry {
            number: format!("{number:04X}"),
            description,
            active,
            order: place.and_then(|place| u32::try_from(place).ok()),
            current: current == Some(number),
        });
    }
    entries.sort_by(|a, b| (a.order.is_none(), a.order, &a.number).cmp(&(b.order.is_none(), b.order, &b.number)));
    Ok(entries)
}

/// Whether Secure Boot is on. Every user may read that variable.
pub(crate) fn secure_boot(host: &Host, firmware: FirmwareType) -> Reading<bool> {
    if firmware == FirmwareType::Bios {
        return Reading::Known(false);
    }
    if host.names(VARIABLES).is_empty() {
        let dir = host.path(VARIABLES);
        return Reading::unknown(format!("{} is empty; mount it with: mount -t efivarfs efivarfs {0}", dir.display()));
    }
    match variable(host, &format!("SecureBoot-{GLOBAL}")) {
        // Firmware that knows no Secure Boot has no such variable.
        Ok(None) => Reading::Known(false),
        Ok(Some(value)) => match value[..] {
            [value @ (0 | 1)] => Reading::Known(value == 1),
            _ => Reading::unknown("parsing the EFI variable SecureBoot: it is not one byte, 0 or 1"),
        },
        Err(error) => Reading::unknown(error.to_string()),
    }
}

/// `Boot0001-8be4df61-...`
fn entry_number(name: &str) -> Option<u16> {
    let number = name.strip_prefix("Boot")?.strip_suffix(GLOBAL)?.strip_suffix('-')?;
    let is_number = number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_number.then(|| u16::from_str_radix(number, 16).ok()).flatten()
}

/// A variable of 16-bit numbers; empty when the firmware has no such variable.
fn numbers(host: &Host, name: &str) -> Result<Vec<u16>, HostError> {
    let value = variable(host, &format!("{name}-{GLOBAL}"))?.unwrap_or_default();
    let (pairs, rest) = value.as_chunks::<2>();
    if !rest.is_empty() {
        let why = format!("{} bytes are not a list of 16-bit numbers", value.len());
        return Err(HostError::Parse { what: format!("the EFI variable {name}"), why });
    }
    Ok(pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect())
}

/// The value of a variable without its attributes; `None` when there is no such variable.
fn variable(host: &Host, name: &str) -> Result<Option<Vec<u8>>, HostError> {
    let path = host.path(VARIABLES).join(name);
    match std::fs::read(&path) {
        Ok(bytes) if bytes.len() >= ATTRIBUTE_BYTES => Ok(Some(bytes[ATTRIBUTE_BYTES..].to_vec())),
        Ok(bytes) => Err(HostError::Parse {
            what: format!("the EFI variable {name}"),
            why: format!("{} bytes are too short for its attributes", bytes.len()),
        }),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(HostError::Read { path, source }),
    }
}

/// Parses `EFI_LOAD_OPTION`: attributes, length of the device path, description in UTF-16 with a NUL at its end.
pub(crate) fn parse_load_option(value: &[u8]) -> Result<(String, bool), String> {
    let Some((attributes, rest)) = value.split_first_chunk::<4>() else {
        return Err(format!("{} bytes are too short for a load option", value.len()));
    };
    let Some((_path_length, rest)) = rest.split_first_chunk::<2>() else {
        return Err(format!("{} bytes are too short for a load option", value.len()));
    };
    let units = rest.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair));
    let mut units: Vec<u16> = units.collect();
    let Some(end) = units.iter().position(|unit| *unit == 0) else {
        return Err("its description has no end".to_owned());
    };
    units.truncate(end);
    Ok((String::from_utf16_lossy(&units), u32::from_le_bytes(*attributes) & ACTIVE != 0))
}
