//! What a part of a message really is.

/// A script without the carriage returns that mail puts at the ends of lines.
pub(super) fn unix(script: Vec<u8>) -> Vec<u8> {
    let first = script.split(|byte| *byte == b'\n').next();
    if !first.is_some_and(|line| line.ends_with(b"\r")) {
        return script;
    }
    let lines = script.split_inclusive(|byte| *byte == b'\n');
    let lines = lines.map(|line| match line.strip_suffix(b"\r\n") {
        Some(line) => [line, b"\n"].concat(),
        None => line.to_vec(),
    });
    lines.collect::<Vec<_>>().concat()
}

/// The type that a part really has: cloud-init looks into some.
pub(super) fn kind<'a>(declared: &'a str, content: &[u8]) -> &'a str {
    const STARTS: [(&str, &str); 9] = [
        ("#cloud-config-archive", "text/cloud-config-archive"),
        ("#cloud-config-jsonp", "text/cloud-config-jsonp"),
        ("## template: jinja", "text/jinja2"),
        ("#cloud-boothook", "text/cloud-boothook"),
        ("#include-once", "text/x-include-once-url"),
        ("#cloud-config", "text/cloud-config"),
        ("#part-handler", "text/part-handler"),
        ("#include", "text/x-include-url"),
        ("#!", "text/x-shellscript"),
    ];
    if !matches!(
        declared,
        "" | "text/plain" | "text/x-not-multipart" | "text/x-shellscript"
    ) {
        return declared;
    }
    let start = String::from_utf8_lossy(&content[..content.len().min(256)]).to_lowercase();
    let start = start.trim_start();
    STARTS
        .iter()
        .find(|(mark, _)| start.starts_with(mark))
        .map_or(declared, |(_, kind)| kind)
}
