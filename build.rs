//! Rebuilds when the explorer page does: it is embedded, and cargo does not see that by itself.

fn main() {
    println!("cargo:rerun-if-changed=web/dist");
    println!("cargo:rerun-if-changed=build.rs");
}
