//! Questions and grants in the store.

use polytree_protocol::{
    id::{GrantId, PermissionId, ProjectId, SessionId},
    permission::{Grant, Permission, PermissionOutcome, PermissionTime},
};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::broker::Question;
use crate::storage::Error;

/// A stored question.
pub(super) struct Row {
    pub permission: Permission,
    pub project_id: ProjectId,
    pub directory: String,
    pub forced: bool,
    pub outcome: Option<PermissionOutcome>,
    pub message: Option<String>,
}

const COLUMNS: &str = "SELECT data, project_id, directory, forced, outcome, message FROM permission";

fn row(row: &rusqlite::Row<'_>) -> Result<Row, Error> {
    let project: String = row.get(1)?;
    let outcome: Option<String> = row.get(4)?;
    Ok(Row {
        permission: serde_json::from_str(&row.get::<_, String>(0)?)?,
        project_id: ProjectId::parse(&project).unwrap_or_default(),
        directory: row.get(2)?,
        forced: row.get(3)?,
        outcome: outcome.map(|word| serde_json::from_value(word.into())).transpose()?,
        message: row.get(5)?,
    })
}

fn rows(connection: &Connection, tail: &str, value: Option<&str>) -> Result<Vec<Row>, Error> {
    let mut statement = connection.prepare_cached(&format!("{COLUMNS} WHERE outcome IS NULL {tail} ORDER BY id"))?;
    let mut found = Vec::new();
    let mut rows = statement.query(rusqlite::params_from_iter(value))?;
    while let Some(next) = rows.next()? {
        found.push(row(next)?);
    }
    Ok(found)
}

pub(super) fn open(connection: &Connection) -> Result<Vec<Row>, Error> {
    rows(connection, "", None)
}

pub(super) fn open_of_session(connection: &Connection, session: &SessionId) -> Result<Vec<Row>, Error> {
    rows(connection, "AND session_id = ?1", Some(session.as_str()))
}

pub(super) fn of_session(connection: &Connection, session: &SessionId) -> Result<Vec<Row>, Error> {
    let mut statement = connection.prepare_cached(&format!("{COLUMNS} WHERE session_id = ?1 ORDER BY id"))?;
    let mut found = Vec::new();
    let mut rows = statement.query([session.as_str()])?;
    while let Some(next) = rows.next()? {
        found.push(row(next)?);
    }
    Ok(found)
}

pub(super) fn open_of_project(connection: &Connection, project: &ProjectId) -> Result<Vec<Row>, Error> {
    rows(connection, "AND project_id = ?1", Some(project.as_str()))
}

pub(super) fn get(connection: &Connection, id: &PermissionId) -> Result<Option<Row>, Error> {
    let mut statement = connection.prepare_cached(&format!("{COLUMNS} WHERE id = ?1"))?;
    let mut rows = statement.query([id.as_str()])?;
    rows.next()?.map(row).transpose()
}

/// What makes two questions the same: the tool call, the type and what is asked for.
fn call_key(permission: &Permission) -> Result<String, Error> {
    Ok(serde_json::to_string(&(&permission.message_id, &permission.call_id, &permission.kind, &permission.patterns))?)
}

/// The same question, asked before.
pub(super) fn find(connection: &Connection, question: &Question) -> Result<Option<Row>, Error> {
    let mut statement = connection.prepare_cached(&format!("{COLUMNS} WHERE session_id = ?1 AND call = ?2 ORDER BY id DESC LIMIT 1"))?;
    let mut rows = statement.query([question.permission.session_id.as_str(), &call_key(&question.permission)?])?;
    rows.next()?.map(row).transpose()
}

pub(super) fn insert(connection: &Connection, question: &Question) -> Result<(), Error> {
    connection
        .prepare_cached(
            "INSERT INTO permission (id, project_id, session_id, directory, call, forced, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            question.permission.id.as_str(),
            question.project_id.as_str(),
            question.permission.session_id.as_str(),
            question.directory,
            call_key(&question.permission)?,
            question.forced,
            serde_json::to_string(&question.permission)?
        ])?;
    Ok(())
}

pub(super) fn settle(connection: &Connection, id: &PermissionId, outcome: PermissionOutcome, message: Option<&str>) -> Result<(), Error> {
    let word = serde_json::to_value(outcome)?;
    connection.prepare_cached("UPDATE permission SET outcome = ?2, message = ?3 WHERE id = ?1")?.execute(params![
        id.as_str(),
        word.as_str(),
        message
    ])?;
    Ok(())
}

pub(super) fn insert_grant(connection: &Connection, grant: &Grant) -> Result<(), Error> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO permission_grant (id, project_id, type, pattern, created) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![grant.id.as_str(), grant.project_id.as_str(), grant.kind, grant.pattern, grant.time.created])?;
    Ok(())
}

pub(super) fn grants(connection: &Connection, project: &ProjectId) -> Result<Vec<Grant>, Error> {
    let mut statement =
        connection.prepare_cached("SELECT id, type, pattern, created FROM permission_grant WHERE project_id = ?1 ORDER BY id")?;
    let mut rows = statement.query([project.as_str()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        found.push(Grant {
            id: GrantId::parse(&id).unwrap_or_default(),
            project_id: project.clone(),
            kind: row.get(1)?,
            pattern: row.get(2)?,
            time: PermissionTime { created: row.get(3)? },
        });
    }
    Ok(found)
}

pub(super) fn delete_grant(connection: &Connection, project: &ProjectId, id: &GrantId) -> Result<bool, Error> {
    let found = connection
        .prepare_cached("DELETE FROM permission_grant WHERE project_id = ?1 AND id = ?2 RETURNING 1")?
        .query_row([project.as_str(), id.as_str()], |_| Ok(()))
        .optional()?;
    Ok(found.is_some())
}
