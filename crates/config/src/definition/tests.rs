use crate::{Definition, parse};

fn findings(text: &str) -> String {
    match parse("lifeboat.yaml", text.as_bytes()) {
        Ok(definition) => format!("{definition:#?}"),
        Err(findings) => findings.to_string(),
    }
}

#[test]
fn empty_files_are_the_default() {
    for text in [
        "",
        "# nothing\n",
        "image:\n",
        "{}",
        "---\n",
        "image: {}\nnode: ~\n",
    ] {
        assert_eq!(
            parse("f", text.as_bytes()),
            Ok(Definition::default()),
            "{text:?}"
        );
    }
}

#[test]
fn smoke() {
    let text = "
image:
  kubernetes: 1.63
  cni: flanel
  runtime: cri-o
  files:
    - path: etc/motd
    - {path: /etc/x, content: a, source: b}
hostname: x
node:
  hostname: 12
  label: {a: 1}
  labels: {a: 1, node-role.kubernetes.io/worker: ''}
  sysctls: {vm.max_map_count: 1}
machine:
  memory: 4G
  ports: [8080:80, 70000, {guest: 1, hst: 2}]
";
    println!("{}", findings(text));
    println!(
        "{}",
        serde_json::to_string_pretty(&crate::schema()).unwrap()
    );
}
