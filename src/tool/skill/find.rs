//! Where skills are: in folders of the settings, of the project and of the user, each a folder with a file `SKILL.md`. Of a
//! project only those count that its user trusts. One bad file leaves the others as they are.

use std::{collections::BTreeMap, io};

use crate::{
    config::{
        Places, files, folders,
        front_matter::Document,
        trust::{self, PROJECT_FOLDER, SKILL_FILE, SKILL_FOLDER, Trust},
    },
    stdx::{paths::AbsPath, text::ellipsis, visible},
};

/// The most skills of a directory.
const MAX_SKILLS: usize = 200;
/// The most characters of a name and of a description.
const MAX_NAME: usize = 64;
const MAX_DESCRIPTION: usize = 1024;
/// The longest file.
const MAX_BYTES: u64 = 256 * 1024;

/// A skill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skill {
    pub name: String,
    pub description: String,
    /// The folder, below which further files may be.
    pub folder: AbsPath,
    /// The instructions, without the fields in front of them.
    pub body: String,
}

/// The skills of a directory of a worktree (both real paths), by name. The nearest wins: those of the directory over those above
/// it, and these over the user's.
pub fn find(places: &Places, worktree: &AbsPath, directory: &AbsPath, trust: &Trust<'_>) -> BTreeMap<String, Skill> {
    let mut skills = BTreeMap::new();
    let mut add = |path: &AbsPath, read: io::Result<Vec<u8>>| {
        let skill = read.map_err(|error| error.to_string()).and_then(|bytes| parse(path, bytes));
        match skill {
            Ok(skill) if skills.len() < MAX_SKILLS || skills.contains_key(&skill.name) => drop(skills.insert(skill.name.clone(), skill)),
            Ok(_) => tracing::warn!(%path, "there are more than {MAX_SKILLS} skills: this one is not used"),
            Err(error) => tracing::warn!(%path, %error, "a skill is not used"),
        }
    };
    for path in skill_files(&places.config.join(SKILL_FOLDER), None) {
        add(&path, files::read_regular(path.as_path(), MAX_BYTES).map(|(bytes, _)| bytes));
    }
    for directory in folders::from_root(worktree, directory) {
        for path in skill_files(&directory.join(PROJECT_FOLDER).join(SKILL_FOLDER), Some(worktree)) {
            let read = files::read_regular(path.as_path(), MAX_BYTES)
                .and_then(|(bytes, _)| Ok((trust::identify(worktree, &path, bytes.as_slice())?, bytes)));
            match read {
                // Not even parsed.
                Ok((file, _)) if !trust(&file) => {}
                Ok((_, bytes)) => add(&path, Ok(bytes)),
                Err(error) => add(&path, Err(error)),
            }
        }
    }
    skills
}

fn skill_files(folder: &AbsPath, fence: Option<&AbsPath>) -> Vec<AbsPath> {
    folders::files(folder, fence).into_iter().filter(|path| path.as_path().file_name().is_some_and(|name| name == SKILL_FILE)).collect()
}

fn parse(path: &AbsPath, bytes: Vec<u8>) -> Result<Skill, String> {
    let text = String::from_utf8(bytes).map_err(|_| "it is not valid UTF-8".to_owned())?;
    let mut document = Document::parse(&path.to_string(), &text).map_err(|error| error.to_string())?;
    let mut field = |key: &str| document.take_text(key).map_err(|error| error.to_string());
    let (name, description) = (field("name")?, field("description")?);
    let folder = path.parent().ok_or("it has no folder")?;
    let name = name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    let name = name.or_else(|| Some(folder.as_path().file_name()?.to_string_lossy().into_owned())).unwrap_or_default();
    // It is a pattern of rules, and a word for models.
    let is_word = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':'));
    if !is_word(&name) || name.chars().count() > MAX_NAME {
        return Err(format!(
            "`name`: {:?} is not a name of letters, digits, `-`, `_`, `.` and `:`, of at most {MAX_NAME} characters",
            ellipsis(&name, 100)
        ));
    }
    let description = description.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    if description.is_empty() {
        return Err("`description` is missing: it tells the model when to load the skill".to_owned());
    }
    let description = visible::exact(&ellipsis(&description, MAX_DESCRIPTION));
    Ok(Skill { name, description, folder, body: document.body })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Home {
        _keep: tempfile::TempDir,
        places: Places,
        worktree: AbsPath,
    }

    fn home() -> Home {
        let keep = tempfile::tempdir().unwrap();
        let root = AbsPath::new(keep.path()).unwrap().real().unwrap();
        let places = Places { config: root.join("config"), data: root.join("data"), runtime: root.join("run") };
        Home { _keep: keep, places, worktree: root.join("w") }
    }

    fn write(path: &AbsPath, text: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn skill(name: &str, body: &str) -> String {
        format!("---\nname: {name}\ndescription: About {name}.\nlicense: MIT\n---\n{body}\n")
    }

    #[test]
    fn the_nearest_wins_and_only_what_is_trusted_counts() {
        let home = home();
        let (user, top, near) =
            (home.places.config.join("skill"), home.worktree.join(".polytree/skill"), home.worktree.join("a/.polytree/skill"));
        write(&user.join("release/SKILL.md"), &skill("release", "user"));
        write(&user.join("review/SKILL.md"), &skill("review", "user"));
        write(&top.join("deep/release/SKILL.md"), &skill("release", "top"));
        write(&near.join("release/SKILL.md"), &skill("release", "near"));
        write(&near.join("release/notes.md"), "no skill");
        let found = |directory: &AbsPath, trusts: bool| {
            let skills = find(&home.places, &home.worktree, directory, &|_| trusts);
            skills.into_values().map(|skill| format!("{}={}", skill.name, skill.body)).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(found(&home.worktree.join("a"), true), "release=near review=user");
        assert_eq!(found(&home.worktree, true), "release=top review=user");
        assert_eq!(found(&home.worktree.join("a"), false), "release=user review=user");
        let paths: Vec<String> =
            trust::files_that_count(&home.worktree, &home.worktree.join("a")).into_iter().map(|file| file.path).collect();
        assert_eq!(paths, [".polytree/skill/deep/release/SKILL.md", "a/.polytree/skill/release/SKILL.md"]);
    }

    #[test]
    fn a_bad_file_leaves_the_others_as_they_are() {
        let home = home();
        let folder = home.places.config.join("skill");
        write(&folder.join("good/SKILL.md"), "---\ndescription: |\n  Two\n  lines\u{202e}.\n---\nBody");
        for (name, text) in [
            ("open", "---\nname: x\n"),
            ("none", "no fields at all"),
            ("typed", "---\nname: [a]\ndescription: x\n---\n"),
            ("named", "---\nname: ../../etc\ndescription: x\n---\n"),
            ("bomb", "---\nname: &a [x]\ndescription: *a\n---\n"),
        ] {
            write(&folder.join(name).join("SKILL.md"), text);
        }
        write(&folder.join("large/SKILL.md"), &skill("large", &"x".repeat(300 * 1024)));
        let skills = find(&home.places, &home.worktree, &home.worktree, &|_| true);
        assert_eq!(skills.keys().collect::<Vec<_>>(), ["good"]);
        assert_eq!((skills["good"].description.as_str(), skills["good"].body.as_str()), ("Two lines\\u{202e}.", "Body"));
    }
}
