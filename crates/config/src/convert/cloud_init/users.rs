//! Users, groups, their keys and passwords.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value as Json, json};

use super::{Out, flag, get, template, text, text_or_number};
use crate::{
    convert::report::join,
    definition::formats::check,
    finding::Place,
    yaml::{Data, Entry, Value},
};

const NO_DEFAULT: &str = "there is no default user: the keys of `ssh_authorized_keys` log in as root; name a user to have one";
const PLAIN: &str = "a password in clear text is not carried over; write the hash that `openssl passwd -6` prints, or better an SSH key";
const LOCKED: &str = "the account is locked, as `lock_passwd` is true unless it is said otherwise; with `lock_passwd: false` the hash is carried over";

/// The users that are made.
#[derive(Default)]
struct Users {
    list: Vec<Map<String, Json>>,
    index: HashMap<String, usize>,
    /// User and group, by name.
    members: HashSet<(String, String)>,
    groups: HashSet<String>,
}

impl Users {
    fn push(&mut self, name: &str, user: Map<String, Json>) {
        self.index.insert(name.to_owned(), self.list.len());
        self.list.push(user);
    }

    fn find(&mut self, name: &str) -> Option<&mut Map<String, Json>> {
        let at = self.index.get(name)?;
        self.list.get_mut(*at)
    }
}

/// Whether text is a hash of crypt(5).
fn is_hash(text: &str) -> bool {
    text.starts_with('$') && check("password-hash", text).is_ok()
}

/// A user of `ssh_import_id` as a source of keys; why it is none otherwise.
fn imported(id: &str) -> Result<String, String> {
    let (place, user) = id.split_once(':').unwrap_or(("lp", id));
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let user = user.trim();
    if user.is_empty() || !user.chars().all(plain) {
        return Err("is no user of a place that is known".to_owned());
    }
    match place {
        "gh" => Ok(format!("github:{user}")),
        "gl" => Ok(format!("gitlab:{user}")),
        "lp" => Err(format!(
            "Launchpad is not asked by name; add https://launchpad.net/~{user}/+sshkeys to `ssh_authorized_keys`"
        )),
        other => Err(format!("keys are not imported from {other:?}")),
    }
}

/// Top-level keys of the default user.
pub(super) fn root_keys(value: &Value, path: &str, out: &mut Out<'_>) {
    for (index, item) in value.items().iter().enumerate() {
        if let Some(key) = text(item).map(str::trim) {
            let here = join(path, index);
            if key.is_empty() {
                out.unsupported(&here, item.span.start, "the key is empty");
            } else {
                out.push("ssh_authorized_keys", key);
                out.translated(&here, item.span.start, "logs in as root");
            }
        }
    }
}

/// Top-level imports of the default user.
pub(super) fn root_imports(value: &Value, path: &str, out: &mut Out<'_>) {
    for (index, item) in value.items().iter().enumerate() {
        let Some(id) = text(item) else { continue };
        let here = join(path, index);
        match imported(id) {
            Ok(source) => {
                out.push("ssh_authorized_keys", source.clone());
                let message = format!("`{source}`; its keys log in as root");
                out.translated(&here, item.span.start, message);
            }
            Err(message) => out.unsupported(&here, item.span.start, message),
        }
    }
}

/// The password of the default user.
pub(super) fn root_password(entry: &Entry, out: &mut Out<'_>) {
    let Some(password) = text(&entry.value) else {
        return;
    };
    let place = entry.span.start;
    if is_hash(password) {
        out.set("password", password);
        out.translated("password", place, "root's password on the console");
    } else {
        out.unsupported("password", place, PLAIN);
    }
}

/// `users`, `user` and `groups`.
pub(super) fn translate(root: &Value, out: &mut Out<'_>) {
    if let Some(entry) = root.entry("user") {
        let message = match text(&entry.value) {
            Some(_) => NO_DEFAULT,
            None => "there is no default user to change; list the user under `users`",
        };
        if !template::is_marked(&entry.value) && !entry.value.is_null() {
            out.unsupported("user", entry.span.start, message);
        }
    }
    let mut users = Users::default();
    if let Some(entry) = root.entry("users") {
        let place = entry.span.start;
        match &entry.value.data {
            Data::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    listed(item, &join("users", index), &mut users, out);
                }
            }
            Data::Scalar(_) => {
                if let Some(names) = text(&entry.value) {
                    by_names(names, "users", place, &mut users, out);
                }
            }
            Data::Map(entries) => {
                for entry in entries {
                    let path = join("users", &entry.key);
                    let place = entry.span.start;
                    if matches!(entry.value.data, Data::Map(_)) {
                        fields(&entry.value, &entry.key, &path, place, &mut users, out);
                    } else if flag(&entry.value) == Some(false) {
                        out.translated(&path, place, "not made");
                    } else {
                        by_names(&entry.key, &path, place, &mut users, out);
                    }
                }
            }
        }
    }
    passwords(root, &mut users, out);
    if let Some(entry) = root.entry("groups") {
        groups(&entry.value, "groups", entry.span.start, &mut users, out);
    }
    for user in users.list {
        out.push("users", Json::Object(user));
    }
}

/// An item of the list `users`.
fn listed(item: &Value, path: &str, users: &mut Users, out: &mut Out<'_>) {
    let place = item.span.start;
    match &item.data {
        Data::Scalar(_) => {
            if let Some(names) = text(item) {
                by_names(names, path, place, users, out);
            }
        }
        Data::List(names) => {
            for (index, name) in names.iter().enumerate() {
                if let Some(names) = text(name) {
                    by_names(names, &join(path, index), name.span.start, users, out);
                }
            }
        }
        Data::Map(_) => {
            let Some(name) = item.get("name").and_then(text) else {
                if !item.get("name").is_some_and(template::is_marked) {
                    out.unsupported(path, place, "a user without a name is not made");
                }
                return;
            };
            fields(item, name, path, place, users, out);
        }
    }
}

/// Names without more, separated by commas.
fn by_names(names: &str, path: &str, place: Place, users: &mut Users, out: &mut Out<'_>) {
    for name in names
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        if name == "default" {
            out.unsupported(path, place, NO_DEFAULT);
            continue;
        }
        match check("user-name", name) {
            Ok(()) => {
                let mut user = Map::new();
                user.insert("name".to_owned(), json!(name));
                users.push(name, user);
                out.translated(path, place, format!("the user `{name}`"));
            }
            Err(refusal) => out.unsupported(path, place, refusal.message),
        }
    }
}

/// What is only said about a field.
fn refusal(key: &str) -> Option<&'static str> {
    Some(match key {
        "doas" => "there is no doas; write a rule of sudo",
        "expiredate" | "inactive" => {
            "accounts do not expire; take the user out of the configuration"
        }
        "no_create_home" => "a user has a home folder unless `system` is true",
        "no_log_init" => "has no effect: there is no lastlog",
        "no_user_group" => "a user has a group of its own name unless `primary_group` names one",
        "selinux_user" => "SELinux is not used",
        "snapuser" => "there are no snaps",
        "ssh_redirect_user" => "the default user's keys log in as root; nobody is redirected",
        "create_groups" => "groups have to be listed under `groups`",
        "plain_text_passwd" => PLAIN,
        "coreos_ssh_import_github" | "coreos_ssh_import_github_users" | "coreos_ssh_import_url" => {
            "add it to the user's `ssh_authorized_keys`"
        }
        _ => return None,
    })
}

/// The fields of one user.
fn fields(
    item: &Value,
    name: &str,
    path: &str,
    place: Place,
    users: &mut Users,
    out: &mut Out<'_>,
) {
    if name == "default" {
        out.unsupported(path, place, NO_DEFAULT);
        return;
    }
    if let Err(refusal) = check("user-name", name) {
        out.unsupported(path, place, refusal.message);
        return;
    }
    let mut user = Map::new();
    user.insert("name".to_owned(), json!(name));
    // A `!` before the hash is what `lock_passwd` means; without one no password logs in.
    let open = get(item, "lock_passwd").and_then(flag) == Some(false);
    let Data::Map(entries) = &item.data else {
        return;
    };
    for entry in entries {
        let here = join(path, &entry.key);
        let at = entry.span.start;
        let value = &entry.value;
        if template::is_marked(value) || value.is_null() {
            continue;
        }
        let key = entry.key.replace('-', "_");
        if let Some(message) = refusal(&key) {
            let idle = match key.as_str() {
                "create_groups" => flag(value) == Some(true),
                "no_create_home" | "no_log_init" | "no_user_group" | "ssh_redirect_user" => {
                    flag(value) == Some(false)
                }
                _ => false,
            };
            if idle {
                out.translated(&here, at, "");
            } else {
                out.unsupported(&here, at, message);
            }
            continue;
        }
        field(&mut user, &key, value, &here, at, open, out);
    }
    users.push(name, user);
}

/// One field that has a counterpart.
fn field(
    user: &mut Map<String, Json>,
    key: &str,
    value: &Value,
    here: &str,
    at: Place,
    open: bool,
    out: &mut Out<'_>,
) {
    let mut one = |name: &str, format: &str, out: &mut Out<'_>| {
        let Some(text) = text(value) else { return };
        match check(format, text) {
            Ok(()) => {
                user.insert(name.to_owned(), json!(text));
                out.translated(here, at, "");
            }
            Err(refusal) => out.unsupported(here, at, refusal.message),
        }
    };
    match key {
        "name" => out.translated(here, at, ""),
        "gecos" => one("gecos", "gecos", out),
        "homedir" => one("home", "account-path", out),
        "shell" => one("shell", "account-path", out),
        "primary_group" => one("primary_group", "user-name", out),
        "uid" => match text_or_number(value).and_then(|uid| uid.trim().parse::<u32>().ok()) {
            Some(uid) => {
                user.insert("uid".to_owned(), json!(uid));
                out.translated(here, at, "");
            }
            None => out.unsupported(here, at, "is no number of a user"),
        },
        "system" => {
            if let Some(system) = flag(value) {
                user.insert("system".to_owned(), json!(system));
                out.translated(here, at, "");
            }
        }
        "groups" => member_of(user, value, here, at, out),
        "lock_passwd" => {
            let message = if open { "" } else { "no password logs in" };
            out.translated(here, at, message);
        }
        "passwd" | "hashed_passwd" => {
            let Some(password) = text(value) else { return };
            if !is_hash(password) {
                out.unsupported(
                    here,
                    at,
                    "is not the hash of a password; write what `openssl passwd -6` prints",
                );
            } else if open {
                user.insert("password".to_owned(), json!(password));
                out.translated(here, at, "the password on the console; SSH takes keys only");
            } else {
                out.unsupported(here, at, LOCKED);
            }
        }
        "ssh_authorized_keys" => {
            for (index, item) in value.items().iter().enumerate() {
                if let Some(key) = text(item).map(str::trim).filter(|key| !key.is_empty()) {
                    add(user, "ssh_authorized_keys", key);
                    out.translated(&join(here, index), item.span.start, "");
                }
            }
        }
        "ssh_import_id" => {
            for (index, item) in value.items().iter().enumerate() {
                let Some(id) = text(item) else { continue };
                let here = join(here, index);
                match imported(id) {
                    Ok(source) => {
                        add(user, "ssh_authorized_keys", &source);
                        out.translated(&here, item.span.start, format!("`{source}`"));
                    }
                    Err(message) => out.unsupported(&here, item.span.start, message),
                }
            }
        }
        "sudo" => sudo(user, value, here, at, out),
        _ => {}
    }
}

fn add(user: &mut Map<String, Json>, key: &str, item: &str) {
    let list = user.entry(key).or_insert_with(|| Json::Array(Vec::new()));
    if let Json::Array(list) = list {
        list.push(json!(item));
    }
}

fn member_of(
    user: &mut Map<String, Json>,
    value: &Value,
    here: &str,
    at: Place,
    out: &mut Out<'_>,
) {
    let mut join_group = |name: &str, path: &str, place: Place, out: &mut Out<'_>| {
        let name = name.trim();
        if name.is_empty() {
            return;
        }
        match check("user-name", name) {
            Ok(()) => {
                add(user, "groups", name);
                out.translated(path, place, "");
            }
            Err(refusal) => out.unsupported(path, place, refusal.message),
        }
    };
    match &value.data {
        Data::Scalar(_) => {
            for name in text(value).unwrap_or_default().split(',') {
                join_group(name, here, at, out);
            }
        }
        Data::List(items) => {
            for (index, item) in items.iter().enumerate() {
                for name in text(item).unwrap_or_default().split(',') {
                    join_group(name, &join(here, index), item.span.start, out);
                }
            }
        }
        Data::Map(entries) => {
            for entry in entries {
                let path = join(here, &entry.key);
                join_group(&entry.key, &path, entry.span.start, out);
            }
        }
    }
}

fn sudo(user: &mut Map<String, Json>, value: &Value, here: &str, at: Place, out: &mut Out<'_>) {
    let rules: Vec<&str> = match &value.data {
        Data::List(items) => items.iter().filter_map(text).collect(),
        _ => text(value).into_iter().collect(),
    };
    match rules.as_slice() {
        [] => out.translated(here, at, "no rule"),
        [rule] => match check("sudo", rule) {
            Ok(()) => {
                user.insert("sudo".to_owned(), json!(rule));
                out.translated(here, at, "");
            }
            Err(refusal) => out.unsupported(here, at, refusal.message),
        },
        _ => out.unsupported(
            here,
            at,
            "a user has one rule; write the file in /etc/sudoers.d with `write_files`",
        ),
    }
}

/// `chpasswd.users`, of users that are made here and of root.
fn passwords(root: &Value, users: &mut Users, out: &mut Out<'_>) {
    let Some(chpasswd) = root.get("chpasswd") else {
        return;
    };
    if let Some(entry) = chpasswd.entry("expire")
        && let Some(expire) = flag(&entry.value)
    {
        let place = entry.span.start;
        if expire {
            out.unsupported(
                "chpasswd.expire",
                place,
                "passwords do not expire; write the hash of a password that is not to be changed",
            );
        } else {
            out.translated("chpasswd.expire", place, "");
        }
    }
    if let Some(entry) = chpasswd.entry("list") {
        out.unsupported(
            "chpasswd.list",
            entry.span.start,
            "not carried over: write the hash of each password under `users`, root's under `password`",
        );
    }
    let list = chpasswd.get("users").map(Value::items).unwrap_or_default();
    for (index, item) in list.iter().enumerate() {
        let path = join("chpasswd.users", index);
        let place = item.span.start;
        let Some(name) = item.get("name").and_then(text) else {
            continue;
        };
        let kind = item.get("type").and_then(text).unwrap_or("hash");
        let password = item.get("password").and_then(text);
        if kind == "RANDOM" {
            out.unsupported(
                &path,
                place,
                "no password is made up and shown; use an SSH key, or write a hash",
            );
            continue;
        }
        let Some(password) = password else {
            let message = "must be a mapping with the key `password`";
            if !item.get("password").is_some_and(template::is_marked) {
                out.say(crate::convert::Status::Invalid, &path, place, message);
            }
            continue;
        };
        if kind == "text" || !is_hash(password) {
            out.unsupported(&path, place, PLAIN);
        } else if name == "root" {
            out.set("password", password);
            out.translated(&path, place, "root's password on the console");
        } else if let Some(user) = users.find(name) {
            user.insert("password".to_owned(), json!(password));
            out.translated(&path, place, "the password on the console");
        } else {
            out.unsupported(&path, place, "the user is not listed under `users`");
        }
    }
}

/// One group; whether it is made.
fn make_group(name: &str, path: &str, place: Place, users: &mut Users, out: &mut Out<'_>) -> bool {
    match check("user-name", name) {
        Ok(()) => {
            if users.groups.insert(name.to_owned()) {
                out.push("groups", json!({ "name": name }));
            }
            out.translated(path, place, "");
            true
        }
        Err(refusal) => {
            out.unsupported(path, place, refusal.message);
            false
        }
    }
}

/// `groups`: names, or groups with members.
fn groups(value: &Value, path: &str, place: Place, users: &mut Users, out: &mut Out<'_>) {
    match &value.data {
        Data::Scalar(_) => {
            let names = text(value).unwrap_or_default().split(',').map(str::trim);
            for name in names.filter(|name| !name.is_empty()) {
                make_group(name, path, place, users, out);
            }
        }
        Data::List(items) => {
            for (index, item) in items.iter().enumerate() {
                let here = join(path, index);
                match text(item) {
                    Some(name) => {
                        make_group(name.trim(), &here, item.span.start, users, out);
                    }
                    None => groups(item, &here, item.span.start, users, out),
                }
            }
        }
        Data::Map(entries) => {
            for entry in entries {
                let here = join(path, &entry.key);
                if !make_group(&entry.key, &here, entry.span.start, users, out) {
                    continue;
                }
                let members: Vec<(String, &Value)> = match &entry.value.data {
                    Data::List(items) => items
                        .iter()
                        .enumerate()
                        .map(|(index, item)| (join(&here, index), item))
                        .collect(),
                    _ => vec![(here.clone(), &entry.value)],
                };
                for (at, member) in members {
                    let Some(name) = text(member) else { continue };
                    let new = users.members.insert((name.to_owned(), entry.key.clone()));
                    match users.find(name) {
                        Some(user) => {
                            let listed = user.get("groups").and_then(Json::as_array);
                            let listed = listed.is_some_and(|groups| {
                                groups.iter().take(100).any(|group| *group == entry.key)
                            });
                            if new && !listed {
                                add(user, "groups", &entry.key);
                            }
                            out.translated(&at, member.span.start, "");
                        }
                        None => out.unsupported(
                            &at,
                            member.span.start,
                            "the member is not listed under `users`",
                        ),
                    }
                }
            }
        }
    }
}
