//! Projects with their places, checkouts and trusted files.

use polytree_protocol::{
    id::ProjectId,
    project::{ProjectTime, Vcs},
};
use rusqlite::{OptionalExtension as _, Row, types::Type};

use super::SqliteRows;
use crate::{
    stdx::paths::AbsPath,
    store::{
        Error, Sighting, Stamp,
        rows::{CheckoutId, KnownProject, PlaceKind, ProjectPlace, Projects, SeenFiles, StoredCheckout},
    },
};

type Result<T> = std::result::Result<T, Error>;

const PROJECT: &str = "SELECT id, worktree, vcs, name, claimed, trusted, created, updated, initialized,
    EXISTS (SELECT 1 FROM project_place WHERE project_id = project.id) FROM project";
const PLACE: &str = "SELECT project_id, path, device, inode, born, file_id FROM project_place";
const CHECKOUT: &str = "SELECT id, project_id, key, path, device, inode, born FROM project_checkout";

fn project(row: &Row<'_>) -> rusqlite::Result<KnownProject> {
    Ok(KnownProject {
        id: id_column(row, 0)?,
        worktree: path_column(row, 1)?,
        vcs: row.get::<_, Option<String>>(2)?.map(|_| Vcs::Git),
        name: row.get(3)?,
        claimed: row.get(4)?,
        trusted: row.get(5)?,
        time: ProjectTime { created: row.get(6)?, updated: row.get(7)?, initialized: row.get(8)? },
        placed: row.get(9)?,
    })
}

fn place(row: &Row<'_>) -> rusqlite::Result<ProjectPlace> {
    let file: Option<String> = row.get(5)?;
    Ok(ProjectPlace {
        project: id_column(row, 0)?,
        sighting: Sighting { path: path_column(row, 1)?, stamp: stamp_columns(row, 2)? },
        file: if file.is_some() { Some(id_column(row, 5)?) } else { None },
    })
}

fn checkout(row: &Row<'_>) -> rusqlite::Result<StoredCheckout> {
    Ok(StoredCheckout {
        id: CheckoutId(row.get(0)?),
        project: id_column(row, 1)?,
        key: row.get(2)?,
        path: path_column(row, 3)?,
        stamp: stamp_columns(row, 4)?,
    })
}

/// A stamp from three columns: device, inode, born.
fn stamp_columns(row: &Row<'_>, first: usize) -> rusqlite::Result<Stamp> {
    Ok(Stamp {
        device: row.get::<_, i64>(first)?.cast_unsigned(),
        inode: row.get::<_, i64>(first + 1)?.cast_unsigned(),
        born: row.get(first + 2)?,
    })
}

fn id_column(row: &Row<'_>, index: usize) -> rusqlite::Result<ProjectId> {
    let text: String = row.get(index)?;
    ProjectId::parse(&text).map_err(|error| rusqlite::Error::FromSqlConversionFailure(index, Type::Text, Box::new(error)))
}

fn path_column(row: &Row<'_>, index: usize) -> rusqlite::Result<AbsPath> {
    let text: String = row.get(index)?;
    AbsPath::new(text).ok_or_else(|| rusqlite::Error::InvalidColumnType(index, "an absolute path".to_owned(), Type::Text))
}

fn text(path: &AbsPath) -> Result<&str> {
    path.as_path().to_str().ok_or_else(|| Error::NotText { path: path.clone() })
}

fn word(kind: PlaceKind) -> &'static str {
    match kind {
        PlaceKind::Git => "git",
        PlaceKind::Plain => "plain",
    }
}

impl Projects for SqliteRows<'_> {
    fn projects(&self) -> Result<Vec<KnownProject>> {
        let mut statement = self.connection.prepare_cached(&format!("{PROJECT} ORDER BY updated DESC, id DESC"))?;
        let rows = statement.query_map([], project)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn project(&self, id: &ProjectId) -> Result<Option<KnownProject>> {
        let mut statement = self.connection.prepare_cached(&format!("{PROJECT} WHERE id = ?1"))?;
        Ok(statement.query_row([id.as_str()], project).optional()?)
    }

    fn same_place(&self, seen: &Sighting) -> Result<Option<ProjectPlace>> {
        let sql = format!("{PLACE} WHERE kind = 'git' AND (path = ?1 OR inode = ?2) ORDER BY path = ?1 DESC");
        let mut statement = self.connection.prepare_cached(&sql)?;
        for found in statement.query_map((text(&seen.path)?, seen.stamp.inode.cast_signed()), place)? {
            let found = found?;
            if found.sighting.is_same(seen) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn place_at(&self, kind: PlaceKind, path: &AbsPath) -> Result<Option<ProjectPlace>> {
        let mut statement = self.connection.prepare_cached(&format!("{PLACE} WHERE kind = ?1 AND path = ?2"))?;
        Ok(statement.query_row((word(kind), text(path)?), place).optional()?)
    }

    fn git_place(&self, project: &ProjectId) -> Result<Option<ProjectPlace>> {
        let mut statement = self.connection.prepare_cached(&format!("{PLACE} WHERE kind = 'git' AND project_id = ?1"))?;
        Ok(statement.query_row([project.as_str()], place).optional()?)
    }

    fn checkout(&self, id: CheckoutId) -> Result<Option<StoredCheckout>> {
        let mut statement = self.connection.prepare_cached(&format!("{CHECKOUT} WHERE id = ?1"))?;
        Ok(statement.query_row([id.0], checkout).optional()?)
    }

    fn checkout_of(&self, project: &ProjectId, key: &str) -> Result<Option<StoredCheckout>> {
        let mut statement = self.connection.prepare_cached(&format!("{CHECKOUT} WHERE project_id = ?1 AND key = ?2"))?;
        Ok(statement.query_row((project.as_str(), key), checkout).optional()?)
    }

    fn git_checkout_at(&self, path: &AbsPath) -> Result<Option<(CheckoutId, ProjectId)>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT checkout.id, project.id FROM project_checkout AS checkout JOIN project ON project.id = checkout.project_id
             WHERE checkout.path = ?1 AND checkout.key IS NOT NULL AND project.vcs = 'git' ORDER BY checkout.id DESC LIMIT 1",
        )?;
        let found = statement.query_row([text(path)?], |row| Ok((CheckoutId(row.get(0)?), id_column(row, 1)?)));
        Ok(found.optional()?)
    }

    fn trusted_files(&self, project: &ProjectId) -> Result<SeenFiles> {
        let mut statement = self.connection.prepare_cached(
            "SELECT path, digest FROM project_trust JOIN project ON project.id = project_trust.project_id WHERE project.id = ?1 AND trusted",
        )?;
        let rows = statement.query_map([project.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn put_project(&mut self, id: &ProjectId, worktree: &AbsPath, git: bool, claimed: bool, now: i64) -> Result<()> {
        self.connection.execute(
            "INSERT INTO project (id, worktree, vcs, claimed, created, updated) VALUES (?1, ?2, ?3, ?4, ?5, ?5)
             ON CONFLICT (id) DO UPDATE SET worktree = excluded.worktree, vcs = excluded.vcs, claimed = max(claimed, excluded.claimed)",
            (id.as_str(), text(worktree)?, git.then_some("git"), claimed, now),
        )?;
        Ok(())
    }

    fn forget_project(&mut self, id: &ProjectId) -> Result<()> {
        self.connection.execute(
            "DELETE FROM project WHERE id = ?1 AND NOT claimed AND NOT trusted AND name IS NULL AND initialized IS NULL",
            [id.as_str()],
        )?;
        Ok(())
    }

    fn has_sessions(&self, id: &ProjectId) -> Result<bool> {
        Ok(self.connection.prepare_cached("SELECT 1 FROM session WHERE project_id = ?1")?.exists([id.as_str()])?)
    }

    fn delete_project(&mut self, id: &ProjectId) -> Result<()> {
        self.connection.execute("DELETE FROM permission_grant WHERE project_id = ?1", [id.as_str()])?;
        self.connection.execute("DELETE FROM project WHERE id = ?1", [id.as_str()])?;
        Ok(())
    }

    fn name_project(&mut self, id: &ProjectId, name: Option<&str>, now: i64) -> Result<()> {
        self.connection.execute("UPDATE project SET name = ?2, updated = max(updated, ?3) WHERE id = ?1", (id.as_str(), name, now))?;
        Ok(())
    }

    fn initialize_project(&mut self, id: &ProjectId, now: i64) -> Result<()> {
        self.connection.execute("UPDATE project SET initialized = ?2, updated = max(updated, ?2) WHERE id = ?1", (id.as_str(), now))?;
        Ok(())
    }

    fn touch_project(&mut self, id: &ProjectId, now: i64) -> Result<()> {
        self.connection.execute("UPDATE project SET updated = max(updated, ?2) WHERE id = ?1", (id.as_str(), now))?;
        Ok(())
    }

    fn trust_project(&mut self, id: &ProjectId, files: &[(String, String)]) -> Result<()> {
        if self.connection.execute("UPDATE project SET trusted = 1 WHERE id = ?1", [id.as_str()])? > 0 {
            let sql = "INSERT OR IGNORE INTO project_trust (project_id, path, digest) VALUES (?1, ?2, ?3)";
            let mut insert = self.connection.prepare_cached(sql)?;
            for (path, digest) in files {
                insert.execute((id.as_str(), path, digest))?;
            }
        }
        Ok(())
    }

    fn distrust_project(&mut self, id: &ProjectId) -> Result<()> {
        self.connection.execute("UPDATE project SET trusted = 0 WHERE id = ?1", [id.as_str()])?;
        self.connection.execute("DELETE FROM project_trust WHERE project_id = ?1", [id.as_str()])?;
        Ok(())
    }

    fn put_place(&mut self, kind: PlaceKind, place: &ProjectPlace) -> Result<()> {
        let ProjectPlace { project, sighting: Sighting { path, stamp }, file } = place;
        self.connection.execute(
            "INSERT INTO project_place (project_id, kind, path, device, inode, born, file_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (project_id) DO UPDATE SET kind = excluded.kind, path = excluded.path, device = excluded.device,
                 inode = excluded.inode, born = excluded.born, file_id = excluded.file_id",
            (
                project.as_str(),
                word(kind),
                text(path)?,
                stamp.device.cast_signed(),
                stamp.inode.cast_signed(),
                stamp.born,
                file.as_ref().map(ProjectId::as_str),
            ),
        )?;
        Ok(())
    }

    fn remove_place(&mut self, project: &ProjectId) -> Result<()> {
        self.connection.execute("DELETE FROM project_place WHERE project_id = ?1", [project.as_str()])?;
        Ok(())
    }

    fn insert_checkout(&mut self, project: &ProjectId, key: &str, path: &AbsPath, stamp: Stamp) -> Result<CheckoutId> {
        self.connection.execute(
            "INSERT INTO project_checkout (project_id, key, path, device, inode, born) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (project.as_str(), key, text(path)?, stamp.device.cast_signed(), stamp.inode.cast_signed(), stamp.born),
        )?;
        Ok(CheckoutId(self.connection.last_insert_rowid()))
    }

    fn move_checkout(&mut self, id: CheckoutId, path: &AbsPath, stamp: Option<Stamp>) -> Result<()> {
        match stamp {
            None => self.connection.execute("UPDATE project_checkout SET path = ?2 WHERE id = ?1", (id.0, text(path)?))?,
            Some(stamp) => self.connection.execute(
                "UPDATE project_checkout SET path = ?1, device = ?2, inode = ?3, born = ?4 WHERE id = ?5",
                (text(path)?, stamp.device.cast_signed(), stamp.inode.cast_signed(), stamp.born, id.0),
            )?,
        };
        Ok(())
    }

    fn retire_checkout(&mut self, id: CheckoutId) -> Result<()> {
        self.connection.execute("UPDATE project_checkout SET key = NULL WHERE id = ?1", [id.0])?;
        Ok(())
    }
}
