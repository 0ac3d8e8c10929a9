//! Image names in the full form that the runtime looks them up by.

/// Completes a name as container runtimes do: the registry `docker.io`, its `library/`, the tag
/// `latest`. `None` if it cannot be a name.
pub fn complete(name: &str) -> Option<String> {
    if name.is_empty() || name.contains(|letter: char| !letter.is_ascii_graphic()) {
        return None;
    }
    let (first, rest) = name.split_once('/').unwrap_or(("", name));
    let is_registry = first.contains(['.', ':']) || first == "localhost";
    let (registry, path) = match (first, is_registry) {
        ("", _) => ("docker.io", format!("library/{rest}")),
        (_, true) if first == "docker.io" && !rest.contains('/') => {
            (first, format!("library/{rest}"))
        }
        (_, true) => (first, rest.to_owned()),
        (_, false) => ("docker.io", name.to_owned()),
    };
    let repository = path.split([':', '@']).next().unwrap_or_default();
    let valid = |part: &str| {
        let letters = |letter: char| {
            letter.is_ascii_lowercase() || letter.is_ascii_digit() || "._-".contains(letter)
        };
        !part.is_empty() && part.chars().all(letters)
    };
    if !repository.split('/').all(valid) {
        return None;
    }
    let tag = &path[repository.len()..];
    let tag = match tag {
        "" => ":latest",
        _ if tag.len() > 1 && !tag[1..].contains(['/', '@']) && tag.starts_with(':') => tag,
        _ => return None,
    };
    Some(format!("{registry}/{repository}{tag}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::complete;

    #[test]
    fn names_are_completed_as_a_runtime_does() {
        for (name, wanted) in [
            ("busybox", Some("docker.io/library/busybox:latest")),
            ("busybox:1.36", Some("docker.io/library/busybox:1.36")),
            ("docker.io/busybox:1", Some("docker.io/library/busybox:1")),
            ("me/tool:2", Some("docker.io/me/tool:2")),
            ("localhost/tool:2", Some("localhost/tool:2")),
            (
                "registry.example:5000/a/b",
                Some("registry.example:5000/a/b:latest"),
            ),
            ("quay.io/a/b:v1", Some("quay.io/a/b:v1")),
            ("", None),
            ("Upper:1", None),
            ("a b", None),
            ("a/../b", Some("docker.io/a/../b:latest")),
            ("a//b", None),
            ("a:", None),
        ] {
            assert_eq!(complete(name).as_deref(), wanted, "{name}");
        }
    }

    proptest! {
        #[test]
        fn complete_names_stay_as_they_are(name in "[ -~]{0,30}") {
            if let Some(full) = complete(&name) {
                prop_assert_eq!(complete(&full), Some(full.clone()));
            }
        }
    }
}
