//! Users: who owns what, passwords, and the login that k3OS has.

use std::{collections::BTreeMap, fmt::Write as _, io};

use lifeboat_config::{
    NodeConfig,
    definition::{system::UserConfig, types::Password},
    render::{self, Accounts, Numbers},
};

use super::{crypt, engine::Outcome, state::NewFile, target::Target};

/// k3OS' one user.
pub(super) const RANCHER: &str = "rancher";
const RANCHER_ID: u32 = 1000;
/// Numbers that users have got, for all boots.
const NUMBERS: &str = "/var/lib/lifeboat/accounts.json";

/// Numbers of users and groups.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// User to number and primary group.
    users: BTreeMap<String, (u32, u32)>,
    groups: BTreeMap<String, u32>,
}

impl Names {
    /// Those of the root.
    pub fn read(target: &Target<'_>) -> Self {
        Self::parse(&target.text("/etc/passwd"), &target.text("/etc/group"))
    }

    fn parse(passwd: &str, group: &str) -> Self {
        let mut names = Self::default();
        for line in passwd.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            if let [name, _, uid, gid, ..] = fields[..]
                && let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse())
            {
                // The first line of a name counts.
                names.users.entry(name.to_owned()).or_insert((uid, gid));
            }
        }
        for line in group.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            if let [name, _, gid, ..] = fields[..]
                && let Ok(gid) = gid.parse()
            {
                names.groups.entry(name.to_owned()).or_insert(gid);
            }
        }
        names
    }

    /// The numbers of an owner, whose parts are names or numbers. Without a group, or with an
    /// empty one, it is the user's; without a user it is root.
    pub fn owner(&self, user: &str, group: Option<&str>) -> io::Result<(u32, u32)> {
        let unknown = |kind: &str, name: &str| {
            io::Error::new(
                io::ErrorKind::NotFound,
                format!("there is no {kind} `{name}`"),
            )
        };
        let (uid, own) = if user.is_empty() {
            (0, 0)
        } else if let Some(found) = self.users.get(user) {
            *found
        } else {
            let uid = user.parse().map_err(|_| unknown("user", user))?;
            let known = self.users.values().find(|(known, _)| *known == uid);
            (uid, known.map_or(uid, |(_, gid)| *gid))
        };
        let gid = match group.filter(|group| !group.is_empty()) {
            None => own,
            Some(name) => match self.groups.get(name) {
                Some(gid) => *gid,
                None => name.parse().map_err(|_| unknown("group", name))?,
            },
        };
        Ok((uid, gid))
    }

    fn user_of(&self, uid: u32) -> Option<&str> {
        let mut users = self.users.iter();
        users
            .find(|(_, (known, _))| *known == uid)
            .map(|(name, _)| name.as_str())
    }
}

/// Whether a user of the configuration stands where k3OS' would.
pub(super) fn is_ranchers(user: &UserConfig) -> bool {
    user.name.as_str() == RANCHER || user.uid == Some(RANCHER_ID)
}

/// Makes the users and groups of the configuration, and their home folders.
pub(super) fn users(config: &NodeConfig, target: &mut Target<'_>, outcome: &mut Outcome) {
    const FILES: [(&str, u32); 4] = [
        ("/etc/passwd", 0o644),
        ("/etc/group", 0o644),
        ("/etc/shadow", 0o640),
        ("/etc/gshadow", 0o640),
    ];
    if config.users.is_empty() && config.groups.is_empty() {
        return;
    }
    let [passwd, group, shadow, gshadow] = FILES.map(|(path, _)| target.text(path));
    let now = Accounts {
        passwd,
        group,
        shadow,
        gshadow,
    };
    let kept: Numbers = serde_json::from_str(&target.text(NUMBERS)).unwrap_or_default();
    let hashed = |password: &Password| match (password.hash(), password.plain()) {
        (Some(hash), _) => Some(hash.to_owned()),
        // A salt is random: what fits already stays.
        (None, Some(plain)) => now
            .shadow
            .lines()
            .filter_map(|line| line.split(':').nth(1))
            .find(|hash| crypt::fits(plain, hash))
            .map(str::to_owned)
            .or_else(|| crypt::hash(plain).ok()),
        (None, None) => None,
    };
    let plan = render::plan_accounts(config, &now, &kept, &hashed);
    outcome.failures.extend(plan.problems);
    // Before the accounts: a number that is in use must not be forgotten.
    if plan.numbers != kept {
        let text = serde_json::to_string_pretty(&plan.numbers).unwrap_or_default();
        let done = target.put(NUMBERS, NewFile::new(text, 0o600));
        outcome.check("cannot keep the numbers of users", done);
    }
    let Accounts {
        passwd,
        group,
        shadow,
        gshadow,
    } = plan.accounts;
    for ((path, mode), text) in FILES.into_iter().zip([passwd, group, shadow, gshadow]) {
        if text != target.text(path) {
            let done = put_like(target, path, text, mode);
            outcome.check(&format!("cannot write {path}"), done);
        }
    }
    for home in plan.homes {
        let done = target.folder(&home.path, 0o700, (home.uid, home.gid));
        outcome.check(&format!("cannot make {}", home.path), done);
    }
}

/// Adds k3OS' user, for those who log in as `rancher`.
pub(super) fn rancher(target: &mut Target<'_>, outcome: &mut Outcome) {
    let names = Names::read(target);
    let home = format!("/home/{RANCHER}");
    let known = names.users.get(RANCHER).copied();
    if known.is_none() {
        if let Some(other) = names.user_of(RANCHER_ID) {
            outcome.fail(format!(
                "the user {RANCHER} is not made: its number {RANCHER_ID} is that of {other}"
            ));
            return;
        }
        let added = add_rancher(target, &home);
        if added.is_err() {
            outcome.check(&format!("the user {RANCHER} is not made"), added);
            return;
        }
    }
    let ids = known.unwrap_or((RANCHER_ID, RANCHER_ID));
    let made = target.folder(&home, 0o700, ids);
    outcome.check(&format!("cannot make {home}"), made);
    // Where the image has sudo.
    if target.root().exists("/usr/bin/sudo") {
        let rule = format!("{RANCHER} ALL=(ALL) NOPASSWD: ALL\n");
        let made = target.generate("/etc/sudoers.d/90-rancher", rule, 0o440);
        outcome.check(&format!("cannot let {RANCHER} use sudo"), made);
    }
}

fn add_rancher(target: &mut Target<'_>, home: &str) -> io::Result<()> {
    let shell = if target.root().exists("/bin/bash") {
        "/bin/bash"
    } else {
        "/bin/sh"
    };
    let lines = [
        ("/etc/group", format!("{RANCHER}:x:{RANCHER_ID}:"), 0o644),
        (
            "/etc/passwd",
            format!("{RANCHER}:x:{RANCHER_ID}:{RANCHER_ID}:k3OS:{home}:{shell}"),
            0o644,
        ),
        ("/etc/shadow", format!("{RANCHER}:*:1::::::"), 0o640),
    ];
    for (path, line, mode) in lines {
        let mut text = target.text(path);
        if text.lines().any(|old| old.starts_with("rancher:")) {
            continue;
        }
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&line);
        text.push('\n');
        put_like(target, path, text, mode)?;
    }
    Ok(())
}

/// Puts a text in place of a file, with its owner and mode if it is there.
fn put_like(target: &mut Target<'_>, path: &str, text: String, mode: u32) -> io::Result<()> {
    let new = match target.look(path)? {
        super::state::Place::File(old) => NewFile {
            bytes: text.into_bytes(),
            ..old
        },
        _ => NewFile::new(text, mode),
    };
    target.put(path, new)
}

/// Sets the password of these users: a hash as it is, a plain one hashed. None changes nothing.
pub(super) fn password(
    config: &NodeConfig,
    users: &[&str],
    target: &mut Target<'_>,
    outcome: &mut Outcome,
) {
    let Some(password) = &config.password else {
        return;
    };
    if password.as_str().is_empty() {
        return;
    }
    let text = target.text("/etc/shadow");
    let mut new = text.clone();
    for user in users {
        let hash = match (password.hash(), password.plain()) {
            (Some(hash), _) => Ok(hash.to_owned()),
            // A salt is random: what fits already stays.
            (None, Some(plain)) => match field(&new, user) {
                Some(old) if crypt::fits(plain, old) => Ok(old.to_owned()),
                _ => crypt::hash(plain),
            },
            (None, None) => return,
        };
        match hash {
            Ok(hash) => match with_hash(&new, user, &hash) {
                Some(text) => new = text,
                None => outcome.fail(format!("/etc/shadow has no line of {user}")),
            },
            Err(error) => outcome.fail(format!("cannot hash the password of {user}: {error}")),
        }
    }
    if new != text {
        let done = put_like(target, "/etc/shadow", new, 0o640);
        outcome.check("cannot write /etc/shadow", done);
    }
}

/// The password field of a user in the text of /etc/shadow.
fn field<'a>(text: &'a str, user: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(user))
            .then(|| fields.next())
            .flatten()
    })
}

/// The text of /etc/shadow with this hash for a user. None if it has no line of theirs.
fn with_hash(text: &str, user: &str, hash: &str) -> Option<String> {
    let mut found = false;
    let mut out = String::new();
    for line in text.lines() {
        match line
            .strip_prefix(user)
            .and_then(|rest| rest.strip_prefix(':'))
        {
            Some(rest) if !found => {
                found = true;
                let after = rest.split_once(':').map_or("", |(_, after)| after);
                // Writing to a String does not fail.
                let _ = write!(out, "{user}:{hash}:{after}");
            }
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    found.then_some(out)
}

/// Locks root's password where the image has left it open or the last boot has set one.
pub(super) fn lock_root(target: &mut Target<'_>, outcome: &mut Outcome) {
    let text = target.text("/etc/shadow");
    if field(&text, "root").is_some_and(|field| !field.starts_with(['*', '!']))
        && let Some(new) = with_hash(&text, "root", "*")
    {
        let done = put_like(target, "/etc/shadow", new, 0o640);
        outcome.check("cannot write /etc/shadow", done);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_names_or_numbers() {
        let names = Names::parse(
            "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65533::/:/bin/false\nbad\n",
            "root:x:0:\nadm:x:4:\n",
        );
        let owner = |user, group| names.owner(user, group).map_err(|error| error.to_string());
        assert_eq!(owner("root", None), Ok((0, 0)));
        assert_eq!(owner("nobody", None), Ok((65534, 65533)));
        assert_eq!(owner("nobody", Some("")), Ok((65534, 65533)));
        assert_eq!(owner("65534", None), Ok((65534, 65533)));
        assert_eq!(owner("1000", None), Ok((1000, 1000)));
        assert_eq!(owner("1000", Some("adm")), Ok((1000, 4)));
        assert_eq!(owner("", Some("4")), Ok((0, 4)));
        assert_eq!(owner("nob", None), Err("there is no user `nob`".into()));
        assert_eq!(
            owner("root", Some("x")),
            Err("there is no group `x`".into())
        );
    }

    #[test]
    fn only_one_password_changes() {
        let text = "daemon:*:1:::\nroot:x:19000:0:99999:7:::\nrootless:*:1\n";
        assert_eq!(
            with_hash(text, "root", "$6$h").as_deref(),
            Some("daemon:*:1:::\nroot:$6$h:19000:0:99999:7:::\nrootless:*:1\n")
        );
        assert_eq!(with_hash(text, "me", "$6$h"), None);
        assert_eq!(field(text, "rootless"), Some("*"));
    }
}
