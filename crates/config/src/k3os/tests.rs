use super::*;

fn yaml(text: &str) -> Merged {
    merge(&[Input::new("f", Kind::Yaml, text.as_bytes())])
}

fn command_line(text: &str) -> Merged {
    merge(&[Input::new("cmdline", Kind::CommandLine, text.as_bytes())])
}

/// Key and code of each warning.
fn told(merged: &Merged) -> Vec<(&str, &str)> {
    let warnings = merged.warnings.iter();
    warnings
        .map(|warning| (warning.key.as_str(), warning.code))
        .collect()
}

#[test]
fn texts_stay_as_they_are_written() {
    let merged = yaml(
        "hostname: 0x1F\nrun_cmd: [yes, 0644, 1e3, ~, 1_000, .inf, ' x ', 2020-01-01]\nk3os:\n  token: 0123\n  password: on\n  taints: 5\nwrite_files: [{path: /a, permissions: 0644, content: 1.50}]\n",
    );
    assert_eq!(told(&merged), []);
    let config = merged.config;
    assert_eq!(config.hostname, "0x1F");
    let commands = [
        "yes",
        "0644",
        "1e3",
        "",
        "1_000",
        ".inf",
        " x ",
        "2020-01-01",
    ];
    assert_eq!(config.run_cmd, commands);
    assert_eq!(
        (&*config.k3os.token, &*config.k3os.password),
        ("0123", "on")
    );
    assert_eq!(config.k3os.taints, ["5"]);
    assert_eq!(config.write_files[0].permissions, "0644");
    assert_eq!(config.write_files[0].content, "1.50");
}

#[test]
fn values_of_string_maps_become_text() {
    let merged = yaml(
        "k3os:\n  labels: {a: 1000000, b: 1.20, c: 0x1F, d: Off, e: !!bool 'yes', f: [], g: [[x, y]], h: {i: j}, y: n, 0644: k, l: [{}]}\n",
    );
    let labels = merged.config.k3os.labels.iter();
    let labels: Vec<_> = labels.map(|(key, value)| (&**key, &**value)).collect();
    assert_eq!(
        labels,
        [
            ("0644", "k"),
            ("a", "1000000"),
            ("b", "1.20"),
            ("c", "0x1F"),
            ("d", "false"),
            ("e", "true"),
            ("f", ""),
            ("g", "x"),
            ("y", "false"),
        ]
    );
    assert_eq!(
        told(&merged),
        [
            ("k3os.labels.g", "first-item"),
            ("k3os.labels.h", "no-text-form"),
            ("k3os.labels.l", "no-text-form"),
        ]
    );
}

#[test]
fn a_bad_value_costs_only_itself() {
    let merged = merge(&[
        Input::new(
            "low",
            Kind::Yaml,
            b"hostname: low\nboot_cmd: [low]\nk3os: {token: low, labels: {a: low}, install: {device: low}}\n",
        ),
        Input::new(
            "high",
            Kind::Yaml,
            b"hostname: [x]\nboot_cmd: [{a: b}]\nrun_cmd: [a, {b: c}, [d], e]\nk3os: {token: {x: y}, labels: text, install: [], modules: {}, wifi: home, sysctls: []}\nwrite_files: [x, {path: /a, content: [x]}]\n",
        ),
    ]);
    let config = &merged.config;
    assert_eq!(config.hostname, "low");
    assert_eq!(config.boot_cmd, ["low"]);
    assert_eq!(config.run_cmd, ["a", "e"]);
    assert_eq!(
        (&*config.k3os.token, &*config.k3os.labels["a"]),
        ("low", "low")
    );
    assert_eq!(config.k3os.install.device, "low");
    assert_eq!(config.write_files.len(), 1);
    let keys: Vec<_> = told(&merged).into_iter().map(|(key, _)| key).collect();
    assert_eq!(
        keys,
        [
            "hostname",
            "boot_cmd.0",
            "run_cmd.1",
            "run_cmd.2",
            "k3os.token",
            "k3os.labels",
            "k3os.install",
            "k3os.wifi",
            "write_files.0",
            "write_files.1.content",
        ]
    );
}

#[test]
fn the_last_spelling_of_a_key_counts_as_a_whole() {
    let merged = yaml(
        "k3os: {token: a}\nbase: &b {server_url: merged}\nK3OS: {serverUrl: own, <<: *b, label: {a: '1'}, labels: {b: '2'}}\n",
    );
    let k3os = &merged.config.k3os;
    assert_eq!((&*k3os.token, &*k3os.server_url), ("", "own"));
    assert_eq!(k3os.labels.keys().collect::<Vec<_>>(), ["b"]);
    assert_eq!(
        told(&merged),
        [
            ("k3os", "duplicate-key"),
            ("base", "unknown-key"),
            ("K3OS.label", "duplicate-key"),
        ]
    );
}

#[test]
fn truth_values_are_known_in_all_their_spellings() {
    let merged = yaml(
        "k3os: {install: {silent: 'YES', debug: 1, no_format: on, force_efi: maybe, power_off: []}}",
    );
    let install = &merged.config.k3os.install;
    assert!(install.silent && install.debug && install.no_format);
    assert!(!install.force_efi && !install.power_off);
    assert_eq!(
        told(&merged),
        [
            ("k3os.install.force_efi", "not-a-truth-value"),
            ("k3os.install.power_off", "wrong-shape"),
        ]
    );
}

#[test]
fn binary_content_is_shown_as_base64() {
    let merged = yaml(
        "write_files:\n- {path: /a, content: !!binary /w==}\n- {path: /b, content: !!binary H4sI, encoding: gzip}\n- {path: /c, content: !!binary aGk=}\nhostname: !!binary /w==\n",
    );
    let files = merged.config.write_files.iter();
    let files: Vec<_> = files.map(|f| (&*f.content, &*f.encoding)).collect();
    assert_eq!(files, [("/w==", "b64"), ("H4sI", "gz+b64"), ("hi", "")]);
    assert_eq!(told(&merged), [("hostname", "wrong-shape")]);
}

#[test]
fn words_of_the_command_line_are_told_apart() {
    let merged = command_line(
        "k3os.labels.a=1 k3os.labels[a]=2 k3os.label[b.c/d]= k3os.labels[] k3os.labels[x]y=1 k3os.labels. hostname=a hostname=b run_cmd[0]=x k3os.install=y k3os.install[device]=z k3os.token[x]=y k3os.mode.x foo.token=z \"k3os.toke secret\" k3os.fallbackMode=x k3os.install.silent=maybe k3os[token]=x k3os.",
    );
    let config = &merged.config;
    assert_eq!(config.hostname, "b");
    let labels: Vec<_> = config.k3os.labels.iter().collect();
    let text = |key: &str| key.to_owned();
    assert_eq!(
        labels,
        [(&text("a"), &text("1")), (&text("b.c/d"), &text(""))]
    );
    assert_eq!(
        told(&merged),
        [
            ("k3os.labels[a]", "duplicate-key"),
            ("k3os.labels[]", "no-key"),
            ("k3os.labels[x]y", "no-key"),
            ("k3os.labels.", "no-key"),
            ("hostname", "duplicate-key"),
            ("run_cmd[0]", "unknown-key"),
            ("k3os.install", "no-key"),
            ("k3os.install[device]", "unknown-key"),
            ("k3os.token[…", "unknown-key"),
            ("k3os.mode.x", "unknown-key"),
            ("k3os.toke", "unknown-key"),
            ("k3os.install.silent", "not-a-truth-value"),
            ("k3os[token]", "unknown-key"),
            ("k3os.", "no-key"),
        ]
    );
}

#[test]
fn origins_tell_who_set_a_key_and_who_erased_it() {
    let merged = merge(&[
        Input::new("a", Kind::Yaml, b"k3os:\n  token: x\n"),
        Input::new("b", Kind::CommandLine, b"k3os.token=y"),
        Input::new("c", Kind::Yaml, b"k3os:\nhostname: ~\n"),
        Input::new("d", Kind::Hostname, b"\n"),
    ]);
    assert_eq!(merged.config, Config::default());
    assert_eq!(merged.origins.keys().collect::<Vec<_>>(), ["k3os.token"]);
    let origins = merged.origins["k3os.token"].iter();
    let origins: Vec<_> = origins
        .map(|o| (&*o.source, o.place.map(|place| place.line), o.erased))
        .collect();
    let expected = [
        ("a", Some(2), false),
        ("b", None, false),
        ("c", Some(1), true),
    ];
    assert_eq!(origins, expected);
}

#[test]
fn user_data_is_a_script_or_a_file() {
    let read = |bytes: &[u8]| merge(&[Input::new("u", Kind::Userdata, bytes)]);
    for (bytes, content, encoding) in [
        (&b"#!/bin/sh\r\n"[..], "#!/bin/sh\r\n", ""),
        (b"#!\xff", "IyH/", "b64"),
        (b"#!\0", "IyEA", "b64"),
    ] {
        let config = read(bytes).config;
        assert_eq!(config.write_files[0].content, content);
        assert_eq!(config.write_files[0].encoding, encoding);
        assert_eq!(config.run_cmd, ["source /run/k3os/userdata"]);
    }
    assert_eq!(read(b"#cloud-config\nhostname: a").config.hostname, "a");
    assert_eq!(told(&read(b"\x7fELF\0")), [("", "unreadable")]);
}

#[test]
fn metadata_is_read_line_by_line() {
    let merged = merge(&[
        Input::new("h", Kind::Hostname, b" one \r\n"),
        Input::new("k", Kind::Keys, b"\xef\xbb\xbfa\r\n\n # b\nc\xff\nd"),
        Input::new("e", Kind::Keys, b"\n"),
    ]);
    assert_eq!(merged.config.hostname, "one");
    assert_eq!(merged.config.ssh_authorized_keys, ["a", "# b", "d"]);
    assert_eq!(told(&merged), [("3", "not-utf-8")]);
}

#[test]
fn secrets_are_in_no_debug_output_and_no_warning() {
    let input = Input::new(
        "f",
        Kind::Yaml,
        b"k3os: {token: S3cret, password: S3cret, wifi: [{passphrase: S3cret, x: S3cret}], tokn: S3cret, install: {silent: S3cret}}\nwrite_files: [{content: S3cret}]\n",
    );
    let merged = merge(std::slice::from_ref(&input));
    let shown = format!("{input:?} {merged:?}");
    assert!(!shown.contains("S3cret"), "{shown}");
    let masked = merged.config.to_json(false);
    assert_eq!(masked["k3os"]["token"], "********");
    assert_eq!(masked["k3os"]["wifi"][0]["passphrase"], "********");
    assert_eq!(merged.config.to_json(true)["k3os"]["password"], "S3cret");
}

#[test]
fn secrets_without_a_blank_before_them_are_in_no_warning() {
    let file = yaml(
        "k3os:\n  ? token:S3cret\n  ? token S3cret\n  tokne: x\n  wifi: [{name: a, passphrase:S3cret}]\n  password: {S3cret: a, S3cret: b}\nbase: {pass:S3cret, pass:S3cret}\n",
    );
    assert_eq!(
        told(&file),
        [
            ("k3os.token:…", "unknown-key"),
            ("k3os.token …", "unknown-key"),
            ("k3os.tokne", "unknown-key"),
            ("k3os.wifi.0.passphrase:…", "unknown-key"),
            ("k3os.password", "wrong-shape"),
            ("k3os.password.…", "duplicate-key"),
            ("base", "unknown-key"),
            ("base.pass:…", "duplicate-key"),
        ]
    );
    let line = command_line(
        "k3os.token:S3cret k3os.password[S3cret]=x k3os.token.x.S3cret=y \"k3os.token S3cret\" k3os.wifi[0].pass:S3cret=x",
    );
    assert_eq!(
        told(&line),
        [
            ("k3os.token:…", "unknown-key"),
            ("k3os.password[…", "unknown-key"),
            ("k3os.token.…", "unknown-key"),
            ("k3os.token", "unknown-key"),
            ("k3os.wifi[0].pass:…", "not-on-command-line"),
        ]
    );
    let shown = format!("{file:?} {line:?}");
    assert!(!shown.contains("S3cret"), "{shown}");
}

#[test]
fn a_warning_is_one_line() {
    let merged = yaml("\"a\\nb\\u2028c\": 1\n? [x]\n: y\n");
    let lines: Vec<_> = merged.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "f: a\\nb\\u{2028}c: unknown key; ignored (line 1, column 1)",
            "f: a list or mapping cannot be a key; ignored (line 2, column 3)",
        ]
    );
    assert_eq!(yaml(&"x: 1\n".repeat(2000)).warnings.len(), 1001);
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    fn texts() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec(any::<String>(), 0..4)
    }

    prop_compose! {
        /// Values of mappings come back trimmed, so they are made so.
        fn text_map()(
            map in prop::collection::btree_map("[^\\PC<]{0,8}", "\\PC{0,8}", 0..4)
        ) -> BTreeMap<String, String> {
            map.into_iter().map(|(key, value)| (key, value.trim().to_owned())).collect()
        }
    }

    prop_compose! {
        fn config()(
            hostname: String,
            (keys, run_cmd, taints) in (texts(), texts(), texts()),
            (labels, sysctls) in (text_map(), text_map()),
            files in prop::collection::vec(any::<[String; 5]>(), 0..3),
            wifi in prop::collection::vec(any::<[String; 2]>(), 0..3),
            (token, device) in any::<(String, String)>(),
            (silent, debug) in any::<(bool, bool)>(),
        ) -> Config {
            let mut config = Config {
                ssh_authorized_keys: keys,
                hostname,
                run_cmd,
                ..Config::default()
            };
            let file = |[path, content, encoding, owner, permissions]: [String; 5]| WriteFile {
                path, content, encoding, owner, permissions,
            };
            config.write_files = files.into_iter().map(file).collect();
            let network = |[name, passphrase]: [String; 2]| WifiNetwork { name, passphrase };
            config.k3os = K3os {
                taints,
                labels,
                sysctls,
                token,
                wifi: wifi.into_iter().map(network).collect(),
                install: Install { device, silent, debug, ..Install::default() },
                ..K3os::default()
            };
            config
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back_to_the_same(config in config()) {
            let text = crate::render::yaml(&config.to_json(true));
            let again = yaml(&text);
            prop_assert_eq!(&again.warnings, &[]);
            prop_assert!(again.config == config, "{}", text);
            let json = config.to_json(true).to_string();
            let again = yaml(&crate::render::yaml_safe(&json));
            prop_assert!(again.config == config, "{}", json);
        }

        #[test]
        fn any_sources_merge(
            inputs in prop::collection::vec(("[a-z]{0,3}", 0..5_usize, any::<Vec<u8>>()), 0..4),
            text in "((k3os|labels|run_cmd|install|silent|wifi|write_files|path|hostname)[.=:\\[\\] \"]{1,3}|[\\n -]{1,3}|\\PC){0,40}",
        ) {
            let kinds = [Kind::Yaml, Kind::CommandLine, Kind::Hostname, Kind::Keys, Kind::Userdata];
            let mut inputs: Vec<Input> = inputs
                .iter()
                .map(|(name, kind, bytes)| Input::new(name, kinds[*kind], bytes))
                .collect();
            inputs.extend(kinds.map(|kind| Input::new("text", kind, text.as_bytes())));
            let merged = merge(&inputs);
            for warning in &merged.warnings {
                prop_assert_eq!(warning.to_string().lines().count(), 1);
            }
            // A key has a value only if some source gave it one.
            let json = merged.config.to_json(true);
            prop_assert_eq!(json["hostname"].is_string() && !merged.origins.contains_key("hostname"), false);
        }

        #[test]
        fn a_source_that_says_nothing_changes_nothing(config in config()) {
            let text = config.to_json(true).to_string();
            let full = Input::new("a", Kind::Yaml, crate::render::yaml_safe(&text).as_bytes());
            let merged = merge(&[
                full,
                Input::new("b", Kind::Yaml, b"# nothing\n"),
                Input::new("c", Kind::CommandLine, b"quiet splash"),
                Input::new("d", Kind::Keys, b"\n"),
                Input::new("e", Kind::Userdata, b"k3os: {install: {}}"),
            ]);
            prop_assert!(merged.config == config);
            prop_assert_eq!(merged.warnings, []);
        }
    }
}
