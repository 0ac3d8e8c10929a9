//! Users and groups.

use serde_json::{Map, Value as Json};

use super::{Node, Translator};

impl Translator<'_> {
    pub(super) fn accounts(&mut self, passwd: &Node) {
        for group in passwd.list("groups") {
            self.group(group);
        }
        for user in passwd.list("users") {
            match user.text("name").unwrap_or_default() {
                name @ ("core" | "root") => self.administrator(user, name),
                _ => self.user(user),
            }
        }
    }

    fn group(&mut self, group: &Node) {
        if group.truth("shouldExist") == Some(false) {
            self.unsupported(group, "groups of the image are not removed");
            return;
        }
        let mut json = Map::new();
        for (key, node) in group.entries() {
            match key.as_str() {
                "name" => json.extend(named("name", group.text("name"))),
                "gid" => json.extend(named("gid", group.number("gid"))),
                "system" if group.is_true("system") => {
                    json.insert("system".to_owned(), true.into());
                }
                "passwordHash" => self.unsupported(node, "groups have no passwords"),
                _ => {}
            }
        }
        self.translated(group, "becomes an item of `groups`");
        self.native
            .push("groups", Json::Object(json), &group.path, group.place);
    }

    /// The user `core` of Fedora's and Flatcar's systems is who administers the machine: root here.
    fn administrator(&mut self, user: &Node, name: &str) {
        for (key, node) in user.entries() {
            match key.as_str() {
                "name" => self.translated(
                    node,
                    if name == "core" {
                        "its keys let root log in, who administers the node"
                    } else {
                        ""
                    },
                ),
                "sshAuthorizedKeys" => {
                    for item in user.list("sshAuthorizedKeys") {
                        if let Some(text) = item.as_text() {
                            self.native.push(
                                "ssh_authorized_keys",
                                text.into(),
                                &item.path,
                                item.place,
                            );
                        }
                    }
                    self.translated(node, "becomes `ssh_authorized_keys`");
                }
                "passwordHash" => match user.filled("passwordHash") {
                    Some(hash) => {
                        self.native
                            .set("password", hash.into(), &node.path, node.place);
                        self.translated(node, "becomes `password`: root's on the console");
                    }
                    None => self.translated(node, "no password logs in"),
                },
                "shouldExist" if user.truth("shouldExist") == Some(true) => {
                    self.translated(node, "");
                }
                "shouldExist" => self.unsupported(node, "the administrator is not removed"),
                "sshAuthorizedKeysLocal" => self.local_keys(node),
                _ if !node.is_filled() => {}
                _ if name == "core" => self.unsupported(
                    node,
                    "there is no user core on the node, its place is root's; give a user of another name to have one",
                ),
                _ => self.unsupported(node, "root stays as the image has it"),
            }
        }
    }

    fn local_keys(&mut self, node: &Node) {
        self.unsupported(
            node,
            "is files beside the document, which are not read; write the keys as `ssh_authorized_keys`",
        );
    }

    fn user(&mut self, user: &Node) {
        if user.truth("shouldExist") == Some(false) {
            self.unsupported(user, "users of the image, and their homes, are not removed");
            return;
        }
        let mut json = Map::new();
        self.translated(user, "becomes an item of `users`");
        for (key, node) in user.entries() {
            match key.as_str() {
                "name" => json.extend(named("name", user.text("name"))),
                "uid" => json.extend(named("uid", user.number("uid"))),
                "gecos" => json.extend(named("gecos", user.filled("gecos"))),
                "homeDir" => json.extend(named("home", user.filled("homeDir"))),
                "shell" => json.extend(named("shell", user.filled("shell"))),
                "primaryGroup" => {
                    json.extend(named("primary_group", user.filled("primaryGroup")));
                }
                "passwordHash" => json.extend(named("password", user.filled("passwordHash"))),
                "groups" => json.extend(texts("groups", user.list("groups"))),
                "sshAuthorizedKeys" => {
                    json.extend(texts("ssh_authorized_keys", user.list("sshAuthorizedKeys")));
                }
                "system" if user.is_true("system") => {
                    json.insert("system".to_owned(), true.into());
                }
                "noCreateHome" if user.is_true(key) => {
                    self.unsupported(node, "users have their home folder, but for system users");
                }
                "noUserGroup" if user.is_true(key) => self.unsupported(
                    node,
                    "a user has a group of its name, unless `primaryGroup` names another",
                ),
                "noLogInit" if user.is_true(key) => {
                    self.unsupported(node, "log-ins are not kept in lastlog");
                }
                "sshAuthorizedKeysLocal" => self.local_keys(node),
                _ => {}
            }
        }
        self.native
            .push("users", Json::Object(json), &user.path, user.place);
    }
}

fn named(key: &str, value: Option<impl Into<Json>>) -> Option<(String, Json)> {
    value.map(|value| (key.to_owned(), value.into()))
}

fn texts(key: &str, items: &[Node]) -> Option<(String, Json)> {
    let texts: Vec<&str> = items.iter().filter_map(Node::as_text).collect();
    (!texts.is_empty()).then(|| (key.to_owned(), texts.into()))
}
