//! The files that a node renders from its configuration. Pure functions.
pub(crate) fn yaml_safe(json: &str) -> String {
    json.to_owned()
}
