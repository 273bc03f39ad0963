//! When a certificate expires (RFC 5280 §4.1): what webpki checks and does not tell.
//!
//! It must never be asked whether to trust one: it reads a date, and no signature.

use hardstand_core::window::Civil;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xA0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The end of a certificate's validity, seconds since 1970; `None` where this is no certificate.
pub(crate) fn not_after(der: &[u8]) -> Option<u64> {
    let (certificate, _) = value(der, SEQUENCE)?;
    let (signed, _) = value(certificate, SEQUENCE)?;
    // Version (not in the first of them), serial, algorithm and issuer lie before it.
    let mut rest = if signed.first() == Some(&VERSION) { any(signed)?.2 } else { signed };
    for _ in 0..3 {
        rest = any(rest)?.2;
    }
    let (validity, _) = value(rest, SEQUENCE)?;
    let (tag, time, _) = any(any(validity)?.2)?;
    seconds(tag, std::str::from_utf8(time).ok()?)
}

/// `YYMMDDHHMMSSZ` of 1950 to 2049, or `YYYYMMDDHHMMSSZ`.
fn seconds(tag: u8, text: &str) -> Option<u64> {
    let century = match tag {
        UTC_TIME if text.len() == 13 && text.is_ascii() => {
            if &text[..2] < "50" {
                "20"
            } else {
                "19"
            }
        }
        GENERALIZED_TIME if text.len() == 15 && text.is_ascii() => "",
        _ => return None,
    };
    let digits = format!("{century}{}", text.strip_suffix('Z')?);
    let part = |from: usize| &digits[from..from + 2];
    let civil = format!("{}-{}-{} {}:{}:{}", &digits[..4], part(4), part(6), part(8), part(10), part(12));
    u64::try_from(civil.parse::<Civil>().ok()?.seconds()).ok()
}

/// The first value, which must have this tag, and what follows it.
fn value(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, value, rest) = any(der)?;
    (tag == wanted).then_some((value, rest))
}

fn any(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let [tag, first, rest @ ..] = der else { return None };
    let (length, rest) = match usize::from(*first) {
        short @ 0..=0x7F => (short, rest),
        long @ 0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(long & 0x7F)?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some((*tag, value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(not_after: (i32, u8, u8)) -> Vec<u8> {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["wiki.lan".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(not_after.0, not_after.1, not_after.2);
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn both_forms_of_time_are_read() {
        assert_eq!(not_after(&made((2026, 11, 26))), Some(1_795_651_200));
        assert_eq!(not_after(&made((2049, 12, 31))), Some(2_524_521_600));
        assert_eq!(not_after(&made((2124, 2, 29))), Some(4_864_838_400));
    }

    #[test]
    fn what_is_cut_short_is_none() {
        let whole = made((2026, 11, 26));
        for length in 0..whole.len() {
            assert_eq!(not_after(&whole[..length]), None, "{length}");
        }
        assert_eq!(not_after(b"-----BEGIN CERTIFICATE-----"), None);
    }
}
