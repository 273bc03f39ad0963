//! The software bill of materials, SPDX 2.3 as JSON, made from the manifest alone: same image, same bytes.
//! Licences are `NOASSERTION`: we state what we know (name, version, hash), not what we would guess.

use serde::Serialize;

use crate::manifest::{Manifest, Package};

/// An SPDX document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: String,
    document_namespace: String,
    creation_info: CreationInfo,
    packages: Vec<SpdxPackage>,
    relationships: Vec<Relationship>,
}

#[derive(Debug, Serialize)]
struct CreationInfo {
    created: String,
    creators: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SpdxPackage {
    #[serde(rename = "SPDXID")]
    id: String,
    name: String,
    version_info: String,
    download_location: &'static str,
    files_analyzed: bool,
    license_concluded: &'static str,
    license_declared: &'static str,
    copyright_text: &'static str,
    checksums: Vec<Checksum>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<ExternalRef>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    algorithm: &'static str,
    checksum_value: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExternalRef {
    reference_category: &'static str,
    reference_type: &'static str,
    reference_locator: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: &'static str,
    relationship_type: &'static str,
    related_spdx_element: String,
}

const IMAGE_ID: &str = "SPDXRef-image";
const UNKNOWN: &str = "NOASSERTION";

/// Makes the document. `created` is the build's clock as `YYYY-MM-DDThh:mm:ssZ`, `tool` the program and its version.
pub fn document(manifest: &Manifest, created: &str, tool: &str) -> Document {
    let uki = manifest.artefacts.iter().find(|artefact| artefact.file == "uki.efi");
    let sha256 = uki.map(|artefact| artefact.sha256.clone()).unwrap_or_default();
    let image = SpdxPackage {
        id: IMAGE_ID.to_owned(),
        external_refs: Vec::new(),
        ..entry(&manifest.recipe, &manifest.kernel, &sha256)
    };
    let ids = manifest.packages.iter().map(id);
    let mut relationships = vec![relationship("SPDXRef-DOCUMENT", "DESCRIBES", IMAGE_ID.to_owned())];
    relationships.extend(ids.map(|id| relationship(IMAGE_ID, "CONTAINS", id)));
    Document {
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        id: "SPDXRef-DOCUMENT",
        name: format!("hardstand-{}", manifest.recipe),
        // A namespace has to be unique, not reachable: the UKI's hash is.
        document_namespace: format!("urn:hardstand:image:{}:{sha256}", manifest.recipe),
        creation_info: CreationInfo { created: created.to_owned(), creators: vec![format!("Tool: {tool}")] },
        packages: std::iter::once(image).chain(manifest.packages.iter().map(package)).collect(),
        relationships,
    }
}

fn package(package: &Package) -> SpdxPackage {
    let vendor = if package.origin == "archive" { "debian" } else { "hardstand" };
    let locator = format!(
        "pkg:deb/{vendor}/{}@{}?arch={}",
        escaped(&package.name),
        escaped(&package.version),
        package.architecture
    );
    SpdxPackage {
        id: id(package),
        external_refs: vec![ExternalRef {
            reference_category: "PACKAGE-MANAGER",
            reference_type: "purl",
            reference_locator: locator,
        }],
        ..entry(&package.name, &package.version, &package.sha256)
    }
}

fn entry(name: &str, version: &str, sha256: &str) -> SpdxPackage {
    SpdxPackage {
        id: String::new(),
        name: name.to_owned(),
        version_info: version.to_owned(),
        download_location: UNKNOWN,
        files_analyzed: false,
        license_concluded: UNKNOWN,
        license_declared: UNKNOWN,
        copyright_text: UNKNOWN,
        checksums: vec![Checksum { algorithm: "SHA256", checksum_value: sha256.to_owned() }],
        external_refs: Vec::new(),
    }
}

/// SPDX allows letters, digits, dots and dashes in an id.
fn id(package: &Package) -> String {
    let name: String =
        package.name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    format!("SPDXRef-deb-{name}-{}", &package.sha256[..8.min(package.sha256.len())])
}

/// Percent-encoding as the purl specification wants it for names and versions.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

fn relationship(from: &'static str, kind: &'static str, to: String) -> Relationship {
    Relationship { spdx_element_id: from, relationship_type: kind, related_spdx_element: to }
}

#[cfg(test)]
mod tests {
    use super::document;
    use crate::manifest::tests::manifest;

    #[test]
    fn every_package_is_listed_described_and_named_by_a_purl() {
        let document = document(&manifest(), "2025-11-15T10:08:55Z", "hardstand-image-0.1.0");
        assert_eq!(document.packages.len(), 3);
        assert_eq!(document.relationships.len(), 3);
        let dbus = &document.packages[2];
        assert_eq!(dbus.external_refs[0].reference_locator, "pkg:deb/debian/dbus@1%3A2.0-1?arch=amd64");
        assert_eq!(dbus.id, "SPDXRef-deb-dbus-44444444");
        assert!(document.document_namespace.ends_with(&"33".repeat(32)));
    }
}
