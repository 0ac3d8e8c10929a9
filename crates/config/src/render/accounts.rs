//! Users and groups: edits of the texts of /etc/passwd, /etc/group, /etc/shadow and
//! /etc/gshadow. The same edit of its own result changes nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    ops::RangeInclusive,
};

use serde::{Deserialize, Serialize};

use super::RenderedFile;
use crate::{
    NodeConfig,
    definition::{
        system::UserConfig,
        types::{
            Password,
            system::{AccountPath, Gecos},
        },
    },
};

/// The rules of sudo for `users`.
pub const SUDOERS: &str = "/etc/sudoers.d/90-lifeboat";

/// Numbers of people (adduser.conf(5)).
const PEOPLE: RangeInclusive<u32> = 1000..=59_999;
/// Numbers of services, from the highest down.
const SERVICES: RangeInclusive<u32> = 100..=999;

/// The texts of the four files.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Accounts {
    /// /etc/passwd
    pub passwd: String,
    /// /etc/group
    pub group: String,
    /// /etc/shadow
    pub shadow: String,
    /// /etc/gshadow; empty where there is none.
    pub gshadow: String,
}

impl std::fmt::Debug for Accounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accounts")
            .field("passwd", &self.passwd)
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

/// The numbers that users and groups have got, kept so that they stay the same: /etc is made
/// anew at each boot, the files of users are not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Numbers {
    /// Numbers of users by name.
    pub users: BTreeMap<String, u32>,
    /// Numbers of groups by name.
    pub groups: BTreeMap<String, u32>,
}

/// A home folder that must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// Where.
    pub path: String,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// What became of the accounts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountPlan {
    /// The new texts.
    pub accounts: Accounts,
    /// The numbers to keep.
    pub numbers: Numbers,
    /// Home folders to make, mode 0700, where they are not there.
    pub homes: Vec<Home>,
    /// What could not be done, each with its key: `users[1].groups[0]: …`.
    pub problems: Vec<String>,
}

/// Adds `groups` and `users` to the image's accounts, and changes those that are there.
/// `hashed` makes the hash of a password; none leaves the account without one.
pub fn plan_accounts(
    node: &NodeConfig,
    image: &Accounts,
    kept: &Numbers,
    hashed: &dyn Fn(&Password) -> Option<String>,
) -> AccountPlan {
    let mut editor = Editor::new(image, kept);
    for (index, group) in node.groups.iter().enumerate() {
        let name = group.name.as_str();
        match (editor.groups.number(name), group.gid) {
            (Some(is), Some(wanted)) if is != wanted => editor.problems.push(format!(
                "groups[{index}].gid: the group {name} has the number {is} already"
            )),
            (Some(_), _) => {}
            (None, wanted) => {
                if let Some(other) = wanted.and_then(|gid| editor.groups.name(gid)) {
                    editor.problems.push(format!(
                        "groups[{index}].gid: the number {} is that of the group {other}",
                        wanted.unwrap_or_default()
                    ));
                    continue;
                }
                let range = if group.system { SERVICES } else { PEOPLE };
                editor.add_group(name, wanted, None, range);
            }
        }
    }
    for (index, user) in node.users.iter().enumerate() {
        editor.user(index, user, hashed);
    }
    editor.finish()
}

/// A file of lines with fields between colons; lines that are none of ours stay as they are.
#[derive(Debug, Clone, Default)]
struct Table(Vec<Vec<String>>);

impl Table {
    fn read(text: &str) -> Self {
        let fields = |line: &str| line.split(':').map(str::to_owned).collect();
        Self(text.lines().map(fields).collect())
    }

    fn text(&self) -> String {
        let lines = self.0.iter().map(|fields| fields.join(":") + "\n");
        lines.collect()
    }

    fn line(&mut self, name: &str) -> Option<&mut Vec<String>> {
        self.0
            .iter_mut()
            .find(|line| line.len() > 1 && line.first().is_some_and(|first| first == name))
    }

    fn field(&self, name: &str, index: usize) -> Option<&str> {
        let line = self
            .0
            .iter()
            .find(|line| line.len() > 1 && line.first().is_some_and(|first| first == name))?;
        line.get(index).map(String::as_str)
    }

    /// The third field: the number of a user or group.
    fn number(&self, name: &str) -> Option<u32> {
        self.field(name, 2)?.parse().ok()
    }

    fn numbers(&self) -> BTreeSet<u32> {
        let third = |line: &Vec<String>| line.get(2)?.parse().ok();
        self.0.iter().filter_map(third).collect()
    }

    fn name(&self, number: u32) -> Option<&str> {
        let text = number.to_string();
        let line = self.0.iter().find(|line| line.get(2) == Some(&text))?;
        line.first().map(String::as_str)
    }

    /// Changes a field; what a line lacks before it becomes empty.
    fn set(&mut self, name: &str, index: usize, value: &str) {
        if let Some(line) = self.line(name) {
            if line.len() <= index {
                line.resize(index + 1, String::new());
            }
            value.clone_into(&mut line[index]);
        }
    }

    /// Adds a line before those of NIS (`+…`), which must come last.
    fn add(&mut self, fields: &[&str]) {
        let at = self
            .0
            .iter()
            .position(|line| line.first().is_some_and(|first| first.starts_with('+')))
            .unwrap_or(self.0.len());
        let fields = fields.iter().map(|field| (*field).to_owned()).collect();
        self.0.insert(at, fields);
    }
}

struct Editor<'a> {
    passwd: Table,
    groups: Table,
    shadow: Table,
    gshadow: Option<Table>,
    kept: &'a Numbers,
    numbers: Numbers,
    homes: Vec<Home>,
    problems: Vec<String>,
}

impl<'a> Editor<'a> {
    fn new(image: &Accounts, kept: &'a Numbers) -> Self {
        Self {
            passwd: Table::read(&image.passwd),
            groups: Table::read(&image.group),
            shadow: Table::read(&image.shadow),
            gshadow: (!image.gshadow.is_empty()).then(|| Table::read(&image.gshadow)),
            kept,
            numbers: kept.clone(),
            homes: Vec::new(),
            problems: Vec::new(),
        }
    }

    fn finish(self) -> AccountPlan {
        AccountPlan {
            accounts: Accounts {
                passwd: self.passwd.text(),
                group: self.groups.text(),
                shadow: self.shadow.text(),
                gshadow: self.gshadow.map(|table| table.text()).unwrap_or_default(),
            },
            numbers: self.numbers,
            homes: self.homes,
            problems: self.problems,
        }
    }

    /// Adds a group; its number is the wanted one, the kept one, `like`, or a free one.
    fn add_group(
        &mut self,
        name: &str,
        wanted: Option<u32>,
        like: Option<u32>,
        range: RangeInclusive<u32>,
    ) -> u32 {
        let taken = self.groups.numbers();
        let kept = self.kept.groups.get(name).copied();
        let free = |gid: &u32| !taken.contains(gid);
        let gid = wanted.or(kept.filter(free)).or(like.filter(free));
        let gid = gid.unwrap_or_else(|| pick(&taken, &self.kept.groups, range));
        self.groups.add(&[name, "x", &gid.to_string(), ""]);
        if let Some(gshadow) = &mut self.gshadow {
            gshadow.add(&[name, "!", "", ""]);
        }
        self.numbers.groups.insert(name.to_owned(), gid);
        gid
    }

    fn user(
        &mut self,
        index: usize,
        user: &UserConfig,
        hashed: &dyn Fn(&Password) -> Option<String>,
    ) {
        let name = user.name.as_str();
        let primary = match &user.primary_group {
            None => None,
            Some(group) => {
                let found = self.groups.number(group.as_str());
                if found.is_none() {
                    self.problems.push(format!(
                        "users[{index}].primary_group: there is no group {group}"
                    ));
                }
                found
            }
        };
        let uid = if let Some(is) = self.passwd.number(name) {
            if let Some(wanted) = user.uid.filter(|wanted| *wanted != is) {
                self.problems.push(format!(
                    "users[{index}].uid: the user {name} has the number {is} already, not {wanted}"
                ));
            }
            if let Some(gid) = primary {
                self.passwd.set(name, 3, &gid.to_string());
            }
            is
        } else {
            if let Some(uid) = user.uid
                && let Some(other) = self.passwd.name(uid)
            {
                self.problems.push(format!(
                    "users[{index}].uid: the number {uid} is that of the user {other}"
                ));
                return;
            }
            self.add_user(user, primary)
        };
        for (field, value) in [
            (4, user.gecos.as_ref().map(Gecos::as_str)),
            (5, user.home.as_ref().map(AccountPath::as_str)),
            (6, user.shell.as_ref().map(AccountPath::as_str)),
        ] {
            if let Some(value) = value {
                self.passwd.set(name, field, value);
            }
        }
        if let Some(password) = &user.password {
            match hashed(password) {
                Some(hash) if !hash.contains([':', '\n']) => {
                    self.passwd.set(name, 1, "x");
                    if self.shadow.line(name).is_none() {
                        self.shadow.add(&[name, "*", "", "", "", "", "", "", ""]);
                    }
                    self.shadow.set(name, 1, &hash);
                }
                _ => self
                    .problems
                    .push(format!("users[{index}].password: it cannot be hashed")),
            }
        }
        for (number, group) in user.groups.iter().enumerate() {
            if self.groups.number(group.as_str()).is_none() {
                self.problems.push(format!(
                    "users[{index}].groups[{number}]: there is no group {group}"
                ));
                continue;
            }
            join(&mut self.groups, group.as_str(), name);
            if let Some(gshadow) = &mut self.gshadow {
                join(gshadow, group.as_str(), name);
            }
        }
        let home = self.passwd.field(name, 5).unwrap_or_default().to_owned();
        let gid = self.passwd.field(name, 3).and_then(|gid| gid.parse().ok());
        let made = !user.system || user.home.is_some();
        if made && home.starts_with('/') && home != "/" && uid != 0 {
            self.homes.push(Home {
                path: home,
                uid,
                gid: gid.unwrap_or(uid),
            });
        }
    }

    /// Adds a user; returns its number.
    fn add_user(&mut self, user: &UserConfig, primary: Option<u32>) -> u32 {
        let name = user.name.as_str();
        let range = if user.system { SERVICES } else { PEOPLE };
        let taken = self.passwd.numbers();
        let kept = self.kept.users.get(name).copied();
        let uid = user
            .uid
            .or(kept.filter(|uid| !taken.contains(uid)))
            .unwrap_or_else(|| pick(&taken, &self.kept.users, range.clone()));
        self.numbers.users.insert(name.to_owned(), uid);
        let gid = primary
            .or_else(|| self.groups.number(name))
            .unwrap_or_else(|| self.add_group(name, None, Some(uid), range));
        let (home, shell) = if user.system {
            ("/nonexistent".to_owned(), "/usr/sbin/nologin")
        } else {
            (format!("/home/{name}"), "/bin/bash")
        };
        let (uid_text, gid_text) = (uid.to_string(), gid.to_string());
        self.passwd
            .add(&[name, "x", &uid_text, &gid_text, "", &home, shell]);
        if self.shadow.line(name).is_none() {
            // No password, yet not locked: keys may log in.
            self.shadow.add(&[name, "*", "", "", "", "", "", "", ""]);
        }
        uid
    }
}

/// A number that nobody has or had.
fn pick(taken: &BTreeSet<u32>, kept: &BTreeMap<String, u32>, range: RangeInclusive<u32>) -> u32 {
    let free = |number: &u32| !taken.contains(number) && !kept.values().any(|one| one == number);
    let found = if range == SERVICES {
        range.clone().rev().find(free)
    } else {
        range.clone().find(free)
    };
    found.unwrap_or(*range.end())
}

/// Adds a member to the last field of a group's line.
fn join(table: &mut Table, group: &str, member: &str) {
    let Some(line) = table.line(group) else {
        return;
    };
    line.resize(line.len().max(4), String::new());
    let members = &mut line[3];
    if members.split(',').any(|one| one == member) {
        return;
    }
    let gap = if members.is_empty() { "" } else { "," };
    let _ = write!(members, "{gap}{member}");
}

/// The rules of sudo for `users`; none if nobody has any.
pub fn sudo_file(node: &NodeConfig) -> Option<RenderedFile> {
    let mut content = String::new();
    for user in &node.users {
        if let Some(rule) = user.sudo.as_ref().and_then(|sudo| sudo.rule()) {
            let _ = writeln!(content, "{} {rule}", user.name);
        }
    }
    (!content.is_empty()).then(|| RenderedFile {
        path: SUDOERS.to_owned(),
        mode: 0o440,
        content,
    })
}

/// Where sshd looks for a user's keys beside the user's own home folder.
pub fn authorized_keys_path(user: &str) -> String {
    format!("/etc/ssh/authorized_keys.d/{user}")
}
