use super::*;

#[test]
fn embedded_files_read() {
    let mut all: Vec<String> = Vec::new();
    for (name, text) in FILES {
        match crate::read::<Bundle>(name, text) {
            Ok(bundle) => assert_eq!(format!("bundles/{}.yaml", bundle.name), name),
            Err(findings) => all.push(findings.to_string()),
        }
    }
    if let Err(findings) = crate::read::<BaseSet>(BASE.0, BASE.1) {
        all.push(findings.to_string());
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}
