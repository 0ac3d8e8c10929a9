//! The values that stand in units of systemd: mounts, swap, units themselves.

use super::{
    Refusal, checks, did_you_mean, listed, nearest, shown,
    system::{Checked, ensure},
};
use crate::unit;

text_types! {
    /// The formats of units' values.
    table FORMATS [];
    /// A path of a file that units name.
    UnitPath: "unit-path", "string", "an absolute path", unit_path, false;
    /// A device, tag, share or kind of file system.
    MountSource: "mount-source", "string", "a device or share", mount_source, false;
    /// Where a file system may be mounted.
    MountPoint: "mount-point", "string", "an absolute path", mount_point, false;
    /// The type of a file system.
    FileSystem: "file-system", "string", "a file system such as ext4", file_system, false;
    /// An option of a mount.
    MountOption: "mount-option", "string", "an option such as noatime", mount_option, false;
    /// The name of a unit of systemd.
    UnitName: "unit-name", "string", "a unit's name", unit_name, false;
    /// The name of an addition to a unit.
    DropinName: "dropin-name", "string", "a name that ends with .conf", dropin_name, false;
    /// The text of a unit file.
    UnitText: "unit-text", "string", "the text of a unit file", unit_text, false;
}

/// One line that stays the same in a unit file: nothing to trim, no line that goes on.
fn unit_value(text: &str) -> Checked {
    checks::one_line(text)?;
    ensure(!text.is_empty(), || "is empty".to_owned())?;
    ensure(text.trim() == text, || {
        format!("{} begins or ends with a blank", shown(text))
    })?;
    ensure(!text.ends_with('\\'), || {
        format!("{} ends with a backslash", shown(text))
    })
}

fn unit_path(text: &str) -> Checked {
    checks::node_path(text)?;
    unit_value(text)?;
    // A unit is named after the path, and its file's name has at most 255 bytes.
    ensure(unit::name_of_path(text).len() <= 200, || {
        format!("{} is too long for the name of a unit", shown(text))
    })
}

fn mount_source(text: &str) -> Checked {
    const TAGS: [&str; 5] = ["UUID", "LABEL", "PARTUUID", "PARTLABEL", "ID"];
    unit_value(text)?;
    let Some((tag, value)) = text
        .split_once('=')
        .filter(|(tag, _)| !tag.is_empty() && tag.bytes().all(|byte| byte.is_ascii_alphabetic()))
    else {
        return Ok(());
    };
    if !TAGS.contains(&tag) {
        let near = did_you_mean(nearest(tag, TAGS));
        return Err(Refusal::new(format!(
            "unknown tag {}; tags: {}{near}",
            shown(tag),
            listed(TAGS)
        )));
    }
    ensure(!value.trim_matches('"').is_empty(), || {
        format!("nothing follows `{tag}=`")
    })
}

fn mount_point(text: &str) -> Checked {
    const SYSTEM: [&str; 9] = [
        "/bin",
        "/dev",
        "/lib",
        "/lib64",
        "/opt/kubernetes",
        "/proc",
        "/sbin",
        "/sys",
        "/usr",
    ];
    const PLACES: [&str; 6] = ["/boot", "/etc", "/run", "/tmp", "/var", "/var/lib/lifeboat"];
    unit_path(text)?;
    let below = |folder: &&str| {
        let rest = text.strip_prefix(*folder);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let taken = SYSTEM.iter().find(|folder| below(folder));
    if let Some(folder) = taken.or_else(|| PLACES.iter().find(|place| **place == text)) {
        return Err(Refusal::new(format!(
            "{} is not a place to mount on: {folder} is the system's",
            shown(text)
        ))
        .hint("a folder below /var, /srv, /home or /opt"));
    }
    Ok(())
}

fn file_system(text: &str) -> Checked {
    let holds = (1..=32).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    ensure(holds && text != "swap", || {
        format!("{} is not a file system such as ext4 or nfs", shown(text))
    })
    .map_err(|refusal| {
        if text == "swap" {
            refusal.hint("swap has a key of its own: `swap`")
        } else {
            refusal
        }
    })
}

fn mount_option(text: &str) -> Checked {
    unit_value(text)?;
    ensure(!text.contains(char::is_whitespace), || {
        format!("{} has a blank", shown(text))
    })?;
    if let Some(option) = text.split(',').find(|one| one.starts_with("x-systemd.")) {
        return Err(
            Refusal::new(format!("{} works in /etc/fstab only", shown(option)))
                .hint("write a mount unit under systemd.units for it"),
        );
    }
    Ok(())
}

fn unit_name(text: &str) -> Checked {
    const KINDS: [&str; 11] = [
        "service",
        "socket",
        "timer",
        "path",
        "mount",
        "automount",
        "target",
        "swap",
        "slice",
        "device",
        "scope",
    ];
    let bytes = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|byte| {
                byte.is_ascii_alphanumeric()
                    || matches!(byte, b':' | b'-' | b'_' | b'.' | b'\\' | b'@')
            })
    };
    let (name, kind) = text.rsplit_once('.').unwrap_or((text, ""));
    if text.len() <= 255 && bytes(name) && !name.starts_with(['@', '.']) && KINDS.contains(&kind) {
        return Ok(());
    }
    let refusal = Refusal::new(format!("{} is not the name of a unit", shown(text)));
    Err(if !bytes(text) {
        refusal.hint("letters, digits, `:`, `-`, `_`, `.`, `@` and `\\`")
    } else if let Some(near) = nearest(kind, KINDS).filter(|_| text.contains('.')) {
        refusal.hint(format!("did you mean {name}.{near}?"))
    } else {
        refusal.hint(format!("a service is {text}.service"))
    })
}

fn dropin_name(text: &str) -> Checked {
    let holds = text.len() <= 255
        && text
            .strip_suffix(".conf")
            .is_some_and(|name| !name.is_empty() && !name.starts_with('.'))
        && !text.contains('/')
        && !text.contains(char::is_control);
    if holds {
        return Ok(());
    }
    let refusal = Refusal::new(format!(
        "{} is not a file name that ends with .conf",
        shown(text)
    ));
    let fixed = format!("{text}.conf");
    Err(
        if text.strip_suffix(".conf").is_none() && dropin_name(&fixed).is_ok() {
            refusal.hint(format!("systemd reads it as {fixed}"))
        } else {
            refusal
        },
    )
}

fn unit_text(text: &str) -> Checked {
    unit::settings(text)
        .map(drop)
        .map_err(|error| Refusal::new(format!("is not a unit file: {error}")))
}
