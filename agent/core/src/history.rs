//! placeholder
/// placeholder
#[derive(Default)]
pub struct History;
