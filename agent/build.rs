//! How the agent is linked: what makes the program smaller and changes nothing in what it does. It must never generate code.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The linker that rustc brings for this target knows both; other targets use the system's, which may not.
    if std::env::var("TARGET").as_deref() == Ok("x86_64-unknown-linux-gnu") {
        // Functions with the same instructions become one.
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
        // Addresses to relocate as a bitmap instead of 24 bytes each; the C library reads it since 2.36 (Debian 12).
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
