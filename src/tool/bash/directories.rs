//! Which directories outside the worktree a command line touches, as patterns for the permission rules.
//! Symlinks are followed, also those that lead nowhere yet.

use super::{
    commands::{Access, Anchor, PathUse, Rest},
    places::{Surroundings, Target, linked, targets},
};
use crate::{
    stdx::paths::AbsPath,
    tool::{context::ToolContext, path},
};

/// Which directory is at the path: its file system and its number there.
pub(super) fn identity(directory: &AbsPath) -> Option<(u64, u64)> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        std::fs::symlink_metadata(directory).ok().map(|metadata| (metadata.dev(), metadata.ino()))
    }
    #[cfg(not(unix))]
    None
}

/// The places outside of the worktree, and the private ones, that the line works in.
pub(super) fn outside(context: &ToolContext, home: Option<AbsPath>, directory: &AbsPath, uses: &[PathUse]) -> Vec<String> {
    let inside = [&context.worktree, &context.directory, &context.output_directory];
    let surroundings = Surroundings { directory, inside: &inside, home, private: &context.guard.private, variables: &context.environment };
    let mut directories: Vec<String> = external_directory(directory, &surroundings).into_iter().collect();
    for pattern in external_patterns(uses, &surroundings) {
        if !directories.contains(&pattern) {
            directories.push(pattern);
        }
    }
    directories
}

/// `<directory>/*` for each directory outside, each once. A path that only running would tell stands as it was written.
pub(super) fn external_patterns(uses: &[PathUse], surroundings: &Surroundings<'_>) -> Vec<String> {
    let mut patterns = Vec::new();
    for usage in uses {
        for pattern in outside_of(usage, surroundings) {
            if !patterns.contains(&pattern) {
                patterns.push(pattern);
            }
        }
    }
    patterns
}

/// The directories that the paths are or lie in, each once.
pub(super) fn places(uses: &[PathUse], surroundings: &Surroundings<'_>) -> Vec<AbsPath> {
    let mut places = Vec::new();
    for target in uses.iter().flat_map(|usage| targets(usage, surroundings)) {
        let real = target.real;
        let place = if real.as_path().is_dir() { Some(real) } else { real.parent().filter(|parent| parent.as_path().is_dir()) };
        places.extend(place.filter(|place| !places.contains(place)));
    }
    places
}

/// Whether the directory itself lies outside; its pattern.
pub(super) fn external_directory(directory: &AbsPath, surroundings: &Surroundings<'_>) -> Option<String> {
    let real = directory.real_or_nearest();
    (!is_inside(&real, surroundings)).then(|| pattern(&real))
}

fn outside_of(usage: &PathUse, surroundings: &Surroundings<'_>) -> Vec<String> {
    let mut found = targets(usage, surroundings);
    if let Some(Rest::Pattern(_)) = usage.rest {
        // The directory that the pattern is matched in, besides what it matches now.
        let whole = PathUse { rest: Some(Rest::Unknown(String::new())), ..usage.clone() };
        found.splice(0..0, targets(&whole, surroundings));
    }
    if found.is_empty() {
        // Names alone are not secret, but for those in the home of somebody else, and a word that may not be a path is not
        // asked about.
        let is_home = usage.access == Access::List && usage.anchor == Anchor::Unknown && usage.text.starts_with('~');
        let matters = is_home || !matches!(usage.access, Access::List | Access::Unsure) && !usage.text.is_empty();
        return if matters { vec![format!("{}/*", usage.text.trim_end_matches('/'))] } else { Vec::new() };
    }
    let mut behind_links = Vec::new();
    if matches!(&usage.rest, Some(Rest::Found(what)) if what.follows) {
        for target in &found {
            match linked(&target.real, surroundings) {
                Some(places) => behind_links.extend(places.into_iter().map(|real| {
                    let is_below = real.as_path().is_dir();
                    Target { named: real.clone(), real, is_below }
                })),
                None => return vec![format!("{}/*", usage.text)],
            }
        }
    }
    let found = found.into_iter().chain(behind_links).filter_map(|target| {
        let real = target.real;
        let names_only = matches!(usage.access, Access::List | Access::Unsure);
        if surroundings.private.holds(&real) || !names_only && surroundings.private.below(&real).next().is_some() {
            // The file itself, so that nothing else is granted with it.
            return Some(if real.as_path().is_dir() { pattern(&real) } else { real.to_string() });
        }
        let protected =
            usage.access.changes() && surroundings.inside.first().is_some_and(|worktree| path::is_git_internal(&real, worktree));
        if !protected && (is_inside(&real, surroundings) || is_harmless_device(&real)) {
            return None;
        }
        // A pattern matches directories too, of which nothing is read.
        if usage.access == Access::Read && usage.rest.is_some() && !target.is_below && real.as_path().is_dir() {
            return None;
        }
        // A word like `/api/v1` is no path where nothing has such a name.
        if usage.access == Access::Unsure && !has_root(&real) {
            return None;
        }
        let is_directory = target.is_below || usage.path.is_empty() || usage.path.ends_with('/') || real.as_path().is_dir();
        Some(pattern(&if is_directory { real } else { real.parent().unwrap_or(real) }))
    });
    found.collect()
}

/// Whether the first name of the path is there.
fn has_root(real: &AbsPath) -> bool {
    let first: std::path::PathBuf = real.as_path().components().take(2).collect();
    first.exists()
}

fn pattern(directory: &AbsPath) -> String {
    format!("{}/*", directory.to_string().trim_end_matches('/'))
}

fn is_inside(real: &AbsPath, surroundings: &Surroundings<'_>) -> bool {
    surroundings.inside.iter().any(|directory| real.is_within(directory)) && !surroundings.private.holds(real)
}

pub(super) fn is_harmless_device(real: &AbsPath) -> bool {
    let path = real.to_string();
    ["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/stdin", "/dev/stdout", "/dev/stderr"]
        .contains(&path.as_str())
        || path.starts_with("/dev/fd/")
        || path.starts_with("/proc/self/fd/")
}

#[cfg(all(test, unix))]
mod tests {
    use expect_test::{Expect, expect};

    use super::{Surroundings, external_patterns};
    use crate::{
        stdx::paths::AbsPath,
        tool::{
            bash::commands::{Dialect, analyse},
            private::PrivatePlaces,
        },
    };

    fn check(line: &str, expected: &Expect) {
        let top = tempfile::tempdir().unwrap();
        let top = AbsPath::new(top.path()).unwrap().real().unwrap();
        for directory in ["work/sub/deep", "other", "home/.ssh"] {
            std::fs::create_dir_all(top.join(directory)).unwrap();
        }
        std::os::unix::fs::symlink(top.join("other"), top.join("work/link")).unwrap();
        std::os::unix::fs::symlink(top.join("other/not-yet"), top.join("work/dangling")).unwrap();
        let work = top.join("work");
        let private = PrivatePlaces::new([], top.join("none"), &[("HOME".to_owned(), top.join("home").to_string())].into());
        let variables =
            [("CACHE_DIR", top.join("other")), ("BUILD_DIR", work.join("sub"))].map(|(name, at)| (name.to_owned(), at.to_string())).into();
        let surroundings =
            Surroundings { directory: &work, inside: &[&work], home: Some(top.join("home")), private: &private, variables: &variables };
        let patterns = external_patterns(&analyse(line, Dialect::Bash).paths, &surroundings);
        expected.assert_eq(&patterns.join(" ").replace(&top.to_string(), "TOP"));
    }

    #[test]
    fn inside_needs_no_leave() {
        for line in [
            "rm -rf sub x",
            "cd sub/deep && rm ../x ../../y",
            "echo a > out 2> sub/../err",
            "cat < in > /dev/null",
            "echo hi > /dev/stderr",
            "cat /dev/stdin < in > /dev/fd/2",
            "tee /dev/stderr /proc/self/fd/1 < in",
            "mv *.o sub",
            "chmod -R u+x .",
            "mkdir $PWD/x",
        ] {
            check(line, &expect![""]);
        }
    }

    #[test]
    fn what_is_private_is_asked_by_itself() {
        check("cat ~/.ssh/id; cat ../home/.netrc", &expect!["TOP/home/.ssh/id TOP/home/.netrc"]);
        check("cat ~/.ssh ~/.config/other", &expect!["TOP/home/.ssh/* TOP/home/.config/*"]);
    }

    #[test]
    fn outside_is_named_by_its_directory() {
        check("rm ../other/x", &expect!["TOP/other/*"]);
        check("cp a /usr/share/x; touch /usr/share/y", &expect!["/usr/share/*"]);
        check("ls > ../other/list 2>&1", &expect!["TOP/other/*"]);
        check("cd .. && ls", &expect!["TOP/*"]);
        check("cd sub && cat ../../x", &expect!["TOP/*"]);
        check("cat ~/x \"$HOME\"/y ${HOME}/z/w", &expect!["TOP/home/* TOP/home/z/*"]);
        check("sudo rm ../other/x; sh -c 'rm ../x'", &expect!["TOP/other/* TOP/*"]);
        check("dd if=/dev/zero of=../other/x", &expect!["TOP/other/*"]);
        check("cp -t ../other x; mv --target-directory=../other y", &expect!["TOP/other/*"]);
        check("git -C ../other status", &expect!["TOP/other/*"]);
    }

    #[test]
    fn values_of_the_line_are_followed() {
        check("f=../other/x; cat $f", &expect!["TOP/other/*"]);
        check("f=sub/x; cat $f \"$f\"; for f in a b; do cat \"$f\"; done", &expect![""]);
        check("for f in *.txt sub/*; do head \"$f\"; cat < $f > \"$f.bak\"; done", &expect![""]);
        check("for f in ../other/*; do cat $f; done", &expect!["TOP/other/*"]);
        check("f=~/.netrc; cat $f", &expect!["TOP/home/.netrc"]);
        check("for f in ~/.n*; do cat \"$f\"; done; for f in ~/.ssh/*; do cat <$f; done", &expect!["TOP/home/* TOP/home/.ssh/*"]);
        check("a=~; b=$a/.netrc; cat $b", &expect!["TOP/home/.netrc"]);
        check("d=..; cat sub/../$d/other/x", &expect!["TOP/other/*"]);
        check("l='a ../other/x'; cat $l", &expect!["TOP/other/*"]);
        check("f=a; f+=b; cat $f", &expect!["$f/*"]);
        check("f=a; read f; cat $f", &expect!["$f/*"]);
        check("f() { cat \"$1\"; }; f a; f ../other/x", &expect!["TOP/other/*"]);
        check("f() { cat \"$1\"; }; f a; set -- ../other/x; f \"$1\"", &expect!["$1/*"]);
        check("arr=(a b); for f in \"${arr[@]}\"; do cat \"$f\"; done; cat \"${arr[0]}\"", &expect![""]);
        check("DIR=sub; cd \"$DIR\" && cat x", &expect![""]);
        check("false && d=sub; cd \"$d\"; cat x", &expect!["x/*"]);
        check("d=sub; cat \"$d\"/$e", &expect!["sub/$e/*"]);
    }

    #[test]
    fn symlinks_are_followed() {
        check("rm link/x", &expect!["TOP/other/*"]);
        check("cat link/../x", &expect!["TOP/*"]);
        check("echo a > dangling", &expect!["TOP/other/*"]);
        check("cd link && rm x", &expect!["TOP/other/*"]);
    }

    #[test]
    fn a_cd_that_may_fail_counts_both_ways() {
        check("cd new; rm ../x", &expect!["TOP/*"]);
        check("(cd sub); rm ../x", &expect!["TOP/*"]);
        check("cd sub; rm ../x", &expect![""]);
        check("if true; then cd sub; fi; rm ../x", &expect!["../x/*"]);
        check("false && cd sub; rm ../x", &expect!["../x/*"]);
        check("command cd sub; rm ../x", &expect![""]);
        check("f() { cd sub; }; f; rm ../x", &expect!["../x/*"]);
        check("g() { f; }; f() { cd sub; }; g; rm ../x", &expect!["../x/*"]);
        check("trap 'cd sub' DEBUG; cd sub/deep; rm ../x", &expect!["../x/*"]);
    }

    #[test]
    fn unknown_paths_count_where_something_may_be_lost() {
        check("cat $x", &expect!["$x/*"]);
        check("ls $x; test -f $x", &expect![""]);
        check("rm -rf $x", &expect!["$x/*"]);
        check("rm -rf \"${build}/out\"", &expect!["${build}/out/*"]);
        check("cat $CACHE_DIR/x ${BUILD_DIR}/y $BUILD_DIR", &expect!["TOP/other/*"]);
        check("cat ${BUILD_DIR}x $NOT_SET/y", &expect!["${BUILD_DIR}x/* $NOT_SET/y/*"]);
        check("BUILD_DIR=$(x); cat $BUILD_DIR/y", &expect!["$BUILD_DIR/y/*"]);
        check("rm -rf sub/$x", &expect!["sub/$x/*"]);
        check("rm -rf ../other/$x ../*", &expect!["../other/$x/* TOP/* TOP/other/* TOP/home/*"]);
    }
}
