use super::*;
use crate::{Digest, Origin, read_packages};

/// An index of `NAME VERSION; FIELD; FIELD` lines.
fn index(lines: &str) -> String {
    lines
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| {
            let mut parts = line.split("; ");
            let (name, version) = parts.next().unwrap().split_once(' ').unwrap();
            let fields: Vec<&str> = parts.collect();
            format!(
                "Package: {name}\nVersion: {version}\nArchitecture: all\n\
                 Filename: pool/{name}_{version}.deb\nSize: 1\nSHA256: {}\n{}\n\n",
                Digest::of(line),
                fields.join("\n")
            )
            .replace("\n\n\n", "\n\n")
        })
        .collect()
}

fn wish(names: &[&str]) -> Wishes {
    Wishes {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        ..Wishes::default()
    }
}

/// Solves over the suites `trixie` and `trixie-backports`.
fn solved_in(stable: &str, backports: &str, wishes: &Wishes) -> Result<String, Unsolvable> {
    let (stable, backports) = (index(stable), index(backports));
    let mut packages = read_packages(&stable, 0).unwrap();
    packages.extend(read_packages(&backports, 1).unwrap());
    let origin = |suite: &str, priority| Origin {
        suite: suite.to_owned(),
        priority,
    };
    let origins = vec![origin("trixie", 500), origin("trixie-backports", 100)];
    let universe = Universe::new("amd64", packages, origins).unwrap();
    Ok(solve(&universe, wishes)?
        .iter()
        .map(|package| format!("{} {}", package.name, package.version))
        .collect::<Vec<_>>()
        .join(", "))
}

fn solved(lines: &str, names: &[&str]) -> Result<String, Unsolvable> {
    solved_in(lines, "", &wish(names))
}

#[track_caller]
fn answer(lines: &str, names: &[&str], expected: &str) {
    assert_eq!(solved(lines, names).unwrap(), expected);
}

#[test]
fn the_newest_version_that_fits_is_taken() {
    let lines = "a 1
        a 2; Depends: b (>= 2)
        b 1
        b 2
        b 3; Depends: c
        c 1; Conflicts: a (>= 2)";
    answer(lines, &["a"], "a 2, b 2");
    answer(lines, &["b"], "b 3, c 1");
    answer(lines, &["a", "b (>= 3)"], "a 1, b 3, c 1");
    answer(lines, &["a=1"], "a 1");
    answer(lines, &["a", "b (<< 2)"], "a 1, b 1");
}

#[test]
fn the_first_alternative_that_works_is_taken() {
    let lines = "a 1; Depends: x | y
        w 1; Depends: missing | y
        x 1; Conflicts: z
        y 1
        z 1";
    answer(lines, &["a"], "a 1, x 1");
    answer(lines, &["a", "z"], "a 1, y 1, z 1");
    answer(lines, &["a", "w"], "a 1, w 1, y 1");
    answer(lines, &["missing | y"], "y 1");
}

#[test]
fn what_is_provided_counts() {
    let lines = "a 1; Depends: mta
        b 1; Depends: mta (>= 2)
        exim 4; Provides: mta; Conflicts: mta
        postfix 3; Provides: mta (= 3); Conflicts: mta; Priority: important
        c 1; Depends: exim
        d 1; Conflicts: mta (>= 2)
        e 1; Breaks: mta";
    answer(lines, &["a"], "a 1, postfix 3");
    answer(lines, &["a", "c"], "a 1, c 1, exim 4");
    answer(lines, &["b"], "b 1, postfix 3");
    answer(lines, &["mta"], "postfix 3");
    // A conflict with a version does not hit what is provided without one.
    answer(lines, &["a", "d"], "a 1, d 1, exim 4");
    assert!(solved(lines, &["b", "c"]).is_err());
    assert!(solved(lines, &["a", "e"]).is_err());
}

#[test]
fn pre_depends_and_qualifiers() {
    let lines = "a 1; Pre-Depends: b
        b 1; Depends: python3:any, c:native
        c 1; Depends: d [arm64], e:amd64
        e 1
        f 1; Depends: e:any
        g 1; Depends: e:i386
        python3 3; Multi-Arch: allowed";
    answer(lines, &["a"], "a 1, b 1, c 1, e 1, python3 3");
    assert!(solved(lines, &["f"]).is_err());
    assert!(solved(lines, &["g"]).is_err());
}

#[test]
fn cycles_and_recommended_packages() {
    let lines = "a 1; Depends: b; Recommends: c
        b 1; Depends: a; Suggests: c
        c 1";
    answer(lines, &["a"], "a 1, b 1");
}

#[test]
fn nothing_is_taken_that_nothing_needs() {
    // The solver tries b 2, which needs c, before it learns that b has to be 1.
    let lines = "a 1; Depends: b
        b 2; Depends: c
        b 1
        c 1; Depends: d, e
        d 1
        e 1; Conflicts: a";
    answer(lines, &["a"], "a 1, b 1");
    // y comes with z, so that x is not needed.
    let lines = "a 1; Depends: x | y, z
        x 1
        y 1
        z 1; Depends: y";
    assert!(solved(lines, &["a"]).unwrap().contains("y 1, z 1"));
}

#[test]
fn essential_and_required_packages_come_when_asked_for() {
    let lines = "a 1
        base 1; Essential: yes; Priority: required
        tz 1; Priority: required
        cron 1; Priority: important
        game 1";
    let with = |base| {
        let wishes = Wishes {
            base,
            ..wish(&["a"])
        };
        solved_in(lines, "", &wishes).unwrap()
    };
    assert_eq!(with(Base::None), "a 1");
    assert_eq!(with(Base::Essential), "a 1, base 1");
    assert_eq!(with(Base::Required), "a 1, base 1, tz 1");
    assert_eq!(with(Base::Important), "a 1, base 1, cron 1, tz 1");
}

#[test]
fn backports_are_taken_only_when_named_or_needed() {
    let stable = "go 1; Depends: src (= 1)
        src 1
        lib 1";
    let backports = "go 2; Depends: src (= 2), lib
        src 2
        lib 2
        new 1; Depends: lib (>= 2)";
    let check = |names: &[&str], expected: &str| {
        let found = solved_in(stable, backports, &wish(names)).unwrap();
        assert_eq!(found, expected, "{names:?}");
    };
    check(&["go"], "go 1, src 1");
    check(&["go/trixie-backports"], "go 2, lib 1, src 2");
    check(&["go (>= 2)"], "go 2, lib 1, src 2");
    check(&["new"], "lib 2, new 1");
    let mut wishes = wish(&["go"]);
    wishes
        .pins
        .insert("src".to_owned(), "trixie-backports".to_owned());
    assert_eq!(
        solved_in(stable, backports, &wishes).unwrap(),
        "go 2, lib 1, src 2"
    );
}

#[test]
fn excluded_packages_stay_out() {
    let lines = "a 1; Depends: x | y
        x 1
        y 1
        b 1; Depends: x";
    let exclude = |names: &[&str]| {
        let mut wishes = wish(names);
        wishes.exclude.insert("x".to_owned());
        solved_in(lines, "", &wishes)
    };
    assert_eq!(exclude(&["a"]).unwrap(), "a 1, y 1");
    assert_eq!(
        exclude(&["b"]).unwrap_err().to_string(),
        "no set of packages fulfils the request:\n  x 1 may not be taken: it is on the list of \
         packages that must not be there; x is needed by b"
    );
}

#[test]
fn an_unknown_name_gets_the_nearest_one() {
    let lines = "openssh-server 1
        nftables 1
        systemd-boot 1; Provides: boot-loader";
    for (name, expected) in [
        ("nftable", Some("nftables")),
        ("open-sshserver", Some("openssh-server")),
        ("systemdboot", Some("systemd-boot")),
        ("zzz", None),
    ] {
        let error = solved(lines, &[name]).unwrap_err();
        let Unsolvable::Unknown { nearest, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(nearest.as_deref(), expected);
    }
    let error = solved(lines, &["nftables (>= 2)"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no package `nftables (>= 2)`; there is 1 in trixie"
    );
    assert!(matches!(solved(lines, &["a b"]), Err(Unsolvable::Wish(_))));
}

#[test]
fn the_reason_is_told_in_words() {
    let lines = "kubelet 1.36; Depends: runtime (>= 2), conntrack
        containerd 1.7; Provides: runtime (= 1.7)
        conntrack 1; Depends: libfoo (>= 3)
        libfoo 2
        app 1; Depends: web
        web 1; Depends: nowhere
        p 1; Depends: q
        q 1; Conflicts: r
        s 1; Depends: r
        r 1
        t 1; Depends: libfoo (= 2)
        u 1; Depends: libfoo (= 1)
        libfoo 1";
    let told: Vec<String> = [
        &["kubelet"][..],
        &["conntrack"],
        &["app"],
        &["p", "s"],
        &["t", "u"],
        &["app", "conntrack"],
    ]
    .iter()
    .map(|names| format!("{names:?}: {}", solved(lines, names).unwrap_err()))
    .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn the_answer_is_the_same_every_time() {
    let line = |index: u32| {
        let at = |factor, more| (index * factor + more) % 60;
        format!(
            "p{index:02} 1; Depends: p{:02} | p{:02}; Conflicts: p{:02}",
            at(7, 3),
            at(11, 5),
            at(13, 1)
        )
    };
    let lines = (0..60).map(line).collect::<Vec<_>>().join("\n");
    let first = solved(&lines, &["p07", "p20"]);
    for _ in 0..20 {
        assert_eq!(solved(&lines, &["p07", "p20"]), first);
    }
}

#[test]
fn a_file_that_is_kept_stays_in_its_suite() {
    let old = "boat 1";
    let (stable, updates) = (index("boat 1\nboat 2"), index(old));
    let mut packages = read_packages(&stable, 0).unwrap();
    packages.extend(read_packages(&updates, 1).unwrap());
    // As in a pool of its own, so that it is no copy of the entry.
    packages[2].filename = "pool/updates/boat_1.deb";
    let origin = |suite: &str| Origin {
        suite: suite.to_owned(),
        priority: 500,
    };
    let origins = vec![origin("trixie"), origin("trixie-updates")];
    let universe = Universe::new("amd64", packages, origins).unwrap();
    let wishes = Wishes {
        keep: BTreeMap::from([("boat".to_owned(), Digest::of(old))]),
        ..wish(&["boat"])
    };
    let solved = solve(&universe, &wishes).unwrap();
    assert_eq!((solved[0].version, solved[0].repository), ("1", 0));
}
