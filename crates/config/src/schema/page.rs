//! The reference page of the definition.
/// Page.
pub fn reference_page() -> String {
    String::new()
}
