//! Several parts: each is checked by itself, then they are merged as cloud-init merges them.

use std::collections::{HashMap, HashSet};

use serde_json::Map;

use super::{
    Header, Out, document, header, is_template, keys,
    mime::{self, Message, Part},
    parts::{kind, unix},
    shift, text, unpack,
};
use crate::{
    convert::{
        Converted, Status,
        report::{Report, join},
        script::{self, Mark},
        shapes::{MOST_VALUES, TOO_LARGE},
    },
    finding::Place,
    yaml::{Data, Entry, Kind, Scalar, Value},
};

/// Lines between the places of two parts, so that a place tells its part.
const STRIDE: usize = 1 << 32;

/// A cloud-config among the parts.
struct Config {
    number: usize,
    value: Value,
    /// How many values it has.
    values: usize,
    merge: Vec<(String, Vec<String>)>,
}

/// Converts a MIME message.
pub(super) fn message(file: &str, bytes: &[u8]) -> Converted {
    let Message { parts, outside } = match mime::read(bytes) {
        Ok(message) => message,
        Err(fault) => {
            let place = Place {
                line: fault.line,
                column: 1,
            };
            return Report::unreadable(file, place, fault.message);
        }
    };
    let mut report = Report::new(file);
    for line in outside {
        report.unsupported(
            &format!("line.{line}"),
            Place { line, column: 1 },
            "text outside of the parts counts for nothing, for cloud-init neither",
        );
    }
    let mut configs: Vec<Config> = Vec::new();
    let mut node = Map::new();
    let mut elsewhere = Vec::new();
    let mut full = false;
    for (number, part) in parts.iter().enumerate() {
        if part.line.is_none() {
            elsewhere.push(number);
        }
        one(
            number,
            part,
            &mut report,
            &mut configs,
            &mut node,
            &mut full,
        );
    }
    if let Some(merged) = merge(&configs, &mut report) {
        let mut quiet = Report::new(file);
        let mut out = Out::new(&mut quiet, "");
        out.node = node;
        keys::translate(&merged, &mut out);
        node = out.node;
    }
    let mut converted = report.finish(node);
    // What is encoded has no lines in the file.
    for entry in &mut converted.report {
        let mut words = entry.path.split('.');
        let number = (words.next() == Some("part"))
            .then(|| words.next()?.parse::<usize>().ok())
            .flatten();
        if number.is_some_and(|number| elsewhere.contains(&number)) {
            (entry.line, entry.column) = (None, None);
        }
    }
    converted
}

fn one(
    number: usize,
    part: &Part,
    report: &mut Report,
    configs: &mut Vec<Config>,
    node: &mut Map<String, serde_json::Value>,
    full: &mut bool,
) {
    let path = format!("part.{number}");
    let before = part.line.unwrap_or(0);
    let place = Place {
        line: before + 1,
        column: 1,
    };
    if *full {
        report.invalid(&path, place, TOO_LARGE);
        return;
    }
    let content = part
        .content
        .clone()
        .and_then(|content| unpack::unpacked(&content));
    let content = match content {
        Ok(content) => content,
        Err(message) => {
            report.unsupported(&path, place, message);
            return;
        }
    };
    let packed = part.kind.starts_with("application/") && part.kind.contains("zip");
    let declared = if packed { "" } else { part.kind.as_str() };
    if part.launch_index {
        report.unsupported(
            &join(&path, "launch-index"),
            place,
            "the part counts for the machine that it is given to",
        );
    }
    let kind = kind(declared, &content);
    let message = match kind {
        "text/cloud-config" | "text/jinja2" => {
            config(number, part, kind, &content, report, configs, full);
            return;
        }
        "text/x-shellscript"
        | "text/x-shellscript-per-once"
        | "text/x-shellscript-per-instance" => {
            script::keep(
                node,
                &format!("part-{:03}", number + 1),
                &unix(content),
                "run_cmd",
                Some(Mark::First),
            );
            report.translated(
                &path,
                place,
                "kept as a file, which `run_cmd` runs once: at the first boot, before Kubernetes starts",
            );
            return;
        }
        "text/x-shellscript-per-boot" => {
            let name = format!("part-{:03}", number + 1);
            script::keep(node, &name, &unix(content), "run_cmd", None);
            let message = "kept as a file, which `run_cmd` runs at each boot";
            report.translated(&path, place, message);
            return;
        }
        "text/cloud-boothook" => {
            "a boothook: write it as a file with `write_files` and run it with `boot_cmd`"
        }
        "text/x-include-url" | "text/x-include-once-url" => {
            "a list of addresses, and nothing is fetched: convert what they hold"
        }
        "text/cloud-config-archive" => "an archive: convert its items one by one",
        "text/cloud-config-jsonp" => "a JSON patch of other parts: apply it there",
        "text/part-handler" => "code for cloud-init itself, which does not run here",
        "text/upstart-job" => "upstart has ended; write a unit under `systemd.units`",
        "" | "text/plain" => "no kind of user data that is known; cloud-init ignores it, too",
        _ => "of parts only cloud-config and shell scripts are read",
    };
    report.unsupported(&path, place, message);
}

fn config(
    number: usize,
    part: &Part,
    kind: &str,
    content: &[u8],
    report: &mut Report,
    configs: &mut Vec<Config>,
    full: &mut bool,
) {
    let before = part.line.unwrap_or(0);
    // The type says what it is: the first line need not. A template must begin with its own.
    let first = content
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let templated = is_template(String::from_utf8_lossy(first).trim_end());
    let kind = if kind == "text/jinja2" || templated {
        if let Err(message) = header(content) {
            let place = Place {
                line: before + 1,
                column: 1,
            };
            report.invalid(&format!("part.{number}"), place, message);
            return;
        }
        Header::Template
    } else {
        Header::Plain
    };
    let mut out = Out::new(report, &format!("part.{number}"));
    out.before = before;
    let before_it = configs.iter().map(|config| config.values).sum();
    out.values = before_it;
    let Some(value) = document(&mut out, content, kind) else {
        *full = out.values > MOST_VALUES;
        return;
    };
    let values = out.values - before_it;
    keys::translate(&value, &mut out);
    out.report.cover(&format!("part.{number}"), &value);
    let merge = match mergers(&value, part.merge.as_deref()) {
        Ok(merge) => merge,
        Err(message) => {
            let key = if value.get("merge_how").is_some() {
                "merge_how"
            } else if value.get("merge_type").is_some() {
                "merge_type"
            } else {
                "merge-type"
            };
            let place = value
                .entry(key)
                .map_or(value.span.start, |entry| entry.span.start);
            let path = join(&format!("part.{number}"), key);
            report.invalid(&path, place, message);
            return;
        }
    };
    configs.push(Config {
        number,
        value,
        values,
        merge,
    });
}

/// How a part is merged into those before it.
fn mergers(value: &Value, header: Option<&str>) -> Result<Vec<(String, Vec<String>)>, String> {
    let mut all = Vec::new();
    let own = value.get("merge_how").or_else(|| value.get("merge_type"));
    match own {
        Some(own) if text(own).is_some() => all.extend(parse(text(own).unwrap_or_default())?),
        Some(own) => {
            for item in own.items() {
                let name = item.get("name").and_then(text).unwrap_or_default();
                let settings = item.get("settings").map(Value::items).unwrap_or_default();
                let settings = settings.iter().filter_map(text).map(str::to_owned);
                all.push((name.to_owned(), settings.collect()));
            }
        }
        None => {}
    }
    all.extend(parse(header.unwrap_or_default())?);
    if all.is_empty() {
        all = parse("dict(replace)+list()+str()")?;
    }
    for (name, _) in &all {
        if !matches!(name.as_str(), "dict" | "list" | "str") {
            return Err(format!(
                "there is no way to merge called {}; dict, list and str are known",
                crate::finding::shown(name)
            ));
        }
    }
    Ok(all)
}

/// `list(append)+dict(recurse_array)+str()`.
fn parse(how: &str) -> Result<Vec<(String, Vec<String>)>, String> {
    let mut all = Vec::new();
    for one in how.split('+') {
        let one = one.trim().to_lowercase().replace('-', "_");
        if one.is_empty() {
            continue;
        }
        let Some((name, options)) = one.strip_suffix(')').and_then(|one| one.split_once('('))
        else {
            return Err(format!(
                "{} is not a way to merge such as `list(append)`",
                crate::finding::shown(&one)
            ));
        };
        let options = options.split(',').map(str::trim);
        let options = options.filter(|option| !option.is_empty());
        all.push((name.to_owned(), options.map(str::to_owned).collect()));
    }
    Ok(all)
}

/// All parts as one; what does not come through is reported.
fn merge(configs: &[Config], report: &mut Report) -> Option<Value> {
    let mut merged: Option<Value> = None;
    // Places of text that was put behind other text.
    let mut joined = HashSet::new();
    for config in configs {
        let mut value = config.value.clone();
        shift(&mut value, config.number.saturating_mul(STRIDE));
        if let Data::Map(entries) = &mut value.data {
            entries.retain(|entry| !matches!(entry.key.as_str(), "merge_how" | "merge_type"));
        }
        let mut part = Merger {
            options: &config.merge,
            joined: &mut joined,
        };
        merged = Some(match merged {
            Some(merged) => part.merge(merged, value),
            None => value,
        });
    }
    if configs.len() > 1 {
        let mut alive = joined;
        if let Some(merged) = &merged {
            collect(merged, &mut alive);
        }
        for config in configs {
            let Data::Map(entries) = &config.value.data else {
                continue;
            };
            let path = format!("part.{}", config.number);
            for entry in entries {
                if matches!(entry.key.as_str(), "merge_how" | "merge_type") {
                    continue;
                }
                let lost = Lost {
                    alive: &alive,
                    lines: config.number.saturating_mul(STRIDE),
                };
                lost.report(&entry.value, &join(&path, &entry.key), report);
            }
        }
    }
    merged
}

/// The places of all values without values below them.
fn collect(value: &Value, places: &mut HashSet<Place>) {
    match &value.data {
        Data::List(items) if !items.is_empty() => {
            for item in items {
                collect(item, places);
            }
        }
        Data::Map(entries) if !entries.is_empty() => {
            for entry in entries {
                collect(&entry.value, places);
            }
        }
        _ => {
            places.insert(value.span.start);
        }
    }
}

/// What of a part is not in the result.
struct Lost<'a> {
    alive: &'a HashSet<Place>,
    lines: usize,
}

impl Lost<'_> {
    fn is_alive(&self, place: Place) -> bool {
        self.alive.contains(&Place {
            line: place.line + self.lines,
            ..place
        })
    }

    fn report(&self, value: &Value, path: &str, report: &mut Report) {
        let mut places = HashSet::new();
        collect(value, &mut places);
        let alive = places.iter().filter(|place| self.is_alive(**place)).count();
        if alive == places.len() {
            return;
        }
        if alive == 0 {
            report.add(
                Status::Unsupported,
                path,
                value.span.start,
                "another part replaces it, as cloud-init merges them; `merge_how` changes that",
            );
            return;
        }
        match &value.data {
            Data::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.report(item, &join(path, index), report);
                }
            }
            Data::Map(entries) => {
                for entry in entries {
                    self.report(&entry.value, &join(path, &entry.key), report);
                }
            }
            Data::Scalar(_) => {}
        }
    }
}

/// cloud-init's mergers, with the options of one part.
struct Merger<'a> {
    options: &'a [(String, Vec<String>)],
    joined: &'a mut HashSet<Place>,
}

impl Merger<'_> {
    /// Options of the first merger for a type; none if no merger is for it.
    fn of(&self, kind: &str) -> Option<Vec<&str>> {
        let found = self.options.iter().find(|(name, _)| name == kind);
        found.map(|(_, options)| options.iter().map(String::as_str).collect())
    }

    fn merge(&mut self, old: Value, new: Value) -> Value {
        let kind = match &old.data {
            Data::Map(_) => "dict",
            Data::List(_) => "list",
            Data::Scalar(Scalar {
                kind: Kind::Text, ..
            }) => "str",
            Data::Scalar(_) => return old,
        };
        let Some(options) = self.of(kind) else {
            return old;
        };
        let has = |option: &str| options.contains(&option);
        let lists = has("recurse_array") || has("recurse_list");
        let texts = has("recurse_str");
        match kind {
            "dict" => {
                let (replace, delete) = (has("replace"), has("allow_delete"));
                self.maps(
                    old,
                    new,
                    replace,
                    &|value| match &value.data {
                        Data::List(_) => lists,
                        Data::Map(_) => true,
                        Data::Scalar(scalar) => scalar.kind == Kind::Text && texts,
                    },
                    delete,
                )
            }
            "list" => {
                let method = ["append", "prepend", "replace", "no_replace"]
                    .into_iter()
                    .find(|method| has(method))
                    .unwrap_or("replace");
                let maps = has("recurse_dict");
                self.lists(old, new, method, &|value| match &value.data {
                    Data::List(_) => lists,
                    Data::Map(_) => maps,
                    Data::Scalar(scalar) => scalar.kind == Kind::Text && texts,
                })
            }
            _ => {
                let append = has("append");
                match (&old.data, &new.data) {
                    (Data::Scalar(first), Data::Scalar(second))
                        if append && second.kind == Kind::Text =>
                    {
                        self.joined.insert(old.span.start);
                        self.joined.insert(new.span.start);
                        let text = format!("{}{}", first.text, second.text);
                        Value {
                            span: old.span,
                            data: Data::Scalar(Scalar {
                                text,
                                kind: Kind::Text,
                            }),
                        }
                    }
                    _ => new,
                }
            }
        }
    }

    fn maps(
        &mut self,
        old: Value,
        new: Value,
        replace: bool,
        recurse: &dyn Fn(&Value) -> bool,
        delete: bool,
    ) -> Value {
        let span = old.span;
        let Data::Map(more) = new.data else {
            return old;
        };
        let Data::Map(entries) = old.data else {
            return old;
        };
        let mut index: HashMap<String, usize> = entries
            .iter()
            .enumerate()
            .map(|(at, entry)| (entry.key.clone(), at))
            .collect();
        let mut entries: Vec<Option<Entry>> = entries.into_iter().map(Some).collect();
        for entry in more {
            let known = index.get(&entry.key).copied();
            let Some(slot) = known.and_then(|at| entries.get_mut(at)) else {
                index.insert(entry.key.clone(), entries.len());
                entries.push(Some(entry));
                continue;
            };
            if entry.value.is_null() && delete {
                *slot = None;
                index.remove(&entry.key);
            } else if replace {
                *slot = Some(entry);
            } else if recurse(&entry.value)
                && let Some(mut old) = slot.take()
            {
                old.value = self.merge(old.value, entry.value);
                *slot = Some(old);
            }
        }
        Value {
            span,
            data: Data::Map(entries.into_iter().flatten().collect()),
        }
    }

    fn lists(
        &mut self,
        old: Value,
        new: Value,
        method: &str,
        recurse: &dyn Fn(&Value) -> bool,
    ) -> Value {
        let span = old.span;
        if !matches!(new.data, Data::List(_)) {
            return if method == "replace" { new } else { old };
        }
        let (Data::List(first), Data::List(second)) = (old.data, new.data) else {
            return Value {
                span,
                data: Data::List(Vec::new()),
            };
        };
        let items = match method {
            "append" => first.into_iter().chain(second).collect(),
            "prepend" => second.into_iter().chain(first).collect(),
            _ => {
                // Item by item; what is longer keeps its rest, as cloud-init has it.
                let mut items = first;
                for (old, new) in items.iter_mut().zip(second) {
                    if method == "no_replace" {
                        break;
                    }
                    *old = if recurse(&new) {
                        self.merge(old.clone(), new)
                    } else {
                        new
                    };
                }
                items
            }
        };
        Value {
            span,
            data: Data::List(items),
        }
    }
}
