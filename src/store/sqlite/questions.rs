//! Permission questions and grants.

mod inquiries;

use polytree_protocol::{
    id::{GrantId, PermissionId, ProjectId, SessionId},
    permission::{Grant, Permission, PermissionOutcome, PermissionTime},
};
use rusqlite::{Row, params};

use super::SqliteRows;
use crate::store::{
    Error,
    rows::{Asker, Question, Questions, StoredQuestion},
};

type Result<T> = std::result::Result<T, Error>;

const COLUMNS: &str = "SELECT data, project_id, directory, forced, outcome, message FROM permission";

fn from_row(row: &Row<'_>) -> Result<StoredQuestion> {
    let project: String = row.get(1)?;
    let outcome: Option<String> = row.get(4)?;
    Ok(StoredQuestion {
        question: Question {
            permission: serde_json::from_str(&row.get::<_, String>(0)?)?,
            project_id: ProjectId::parse(&project).unwrap_or_default(),
            directory: row.get(2)?,
            forced: row.get(3)?,
        },
        outcome: outcome.map(|word| serde_json::from_value(word.into())).transpose()?,
        message: row.get(5)?,
    })
}

/// Two questions with the same key are the same: the tool call, the type and the patterns.
fn call_key(permission: &Permission) -> Result<String> {
    Ok(serde_json::to_string(&(&permission.message_id, &permission.call_id, &permission.kind, &permission.patterns))?)
}

impl SqliteRows<'_> {
    fn find_questions(&self, condition: &str, values: &[&str]) -> Result<Vec<StoredQuestion>> {
        let mut statement = self.connection.prepare_cached(&format!("{COLUMNS} WHERE {condition}"))?;
        let mut rows = statement.query(rusqlite::params_from_iter(values))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(from_row(row)?);
        }
        Ok(found)
    }
}

impl Questions for SqliteRows<'_> {
    fn question(&self, id: &PermissionId) -> Result<Option<StoredQuestion>> {
        Ok(self.find_questions("id = ?1", &[id.as_str()])?.pop())
    }

    fn same_question(&self, question: &Question) -> Result<Option<StoredQuestion>> {
        let (session, call) = (question.permission.session_id.as_str(), call_key(&question.permission)?);
        Ok(self.find_questions("session_id = ?1 AND call = ?2 ORDER BY id DESC LIMIT 1", &[session, &call])?.pop())
    }

    fn open_questions(&self, of: Asker<'_>) -> Result<Vec<StoredQuestion>> {
        match of {
            Asker::Any => self.find_questions("outcome IS NULL ORDER BY id", &[]),
            Asker::Session(id) => self.find_questions("outcome IS NULL AND session_id = ?1 ORDER BY id", &[id.as_str()]),
            Asker::Project(id) => self.find_questions("outcome IS NULL AND project_id = ?1 ORDER BY id", &[id.as_str()]),
        }
    }

    fn questions(&self, session: &SessionId) -> Result<Vec<Permission>> {
        let found = self.find_questions("session_id = ?1 ORDER BY id", &[session.as_str()])?;
        Ok(found.into_iter().map(|stored| stored.question.permission).collect())
    }

    fn grants(&self, project: &ProjectId, root: Option<&SessionId>) -> Result<Vec<Grant>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, type, pattern, created, NULL FROM permission_grant WHERE project_id = ?1
             UNION ALL SELECT id, type, pattern, created, session_id FROM session_grant WHERE session_id = ?2 ORDER BY 1",
        )?;
        let mut rows = statement.query(params![project.as_str(), root.map(SessionId::as_str)])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(grant(row, project)?);
        }
        Ok(found)
    }

    fn all_grants(&self, project: &ProjectId) -> Result<Vec<Grant>> {
        let mut found = self.grants(project, None)?;
        let mut statement = self.connection.prepare_cached(
            "SELECT session_grant.id, type, pattern, created, session_id FROM session_grant JOIN session ON session.id = session_id
             WHERE project_id = ?1 ORDER BY 1",
        )?;
        let mut rows = statement.query([project.as_str()])?;
        while let Some(row) = rows.next()? {
            found.push(grant(row, project)?);
        }
        Ok(found)
    }

    fn insert_question(&mut self, question: &Question) -> Result<()> {
        self.connection
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

    fn settle_question(&mut self, id: &PermissionId, outcome: PermissionOutcome, message: Option<&str>) -> Result<()> {
        let word = serde_json::to_value(outcome)?;
        self.connection.prepare_cached("UPDATE permission SET outcome = ?2, message = ?3 WHERE id = ?1")?.execute(params![
            id.as_str(),
            word.as_str(),
            message
        ])?;
        Ok(())
    }

    fn insert_grant(&mut self, grant: &Grant) -> Result<()> {
        let (sql, owner) = match &grant.session_id {
            Some(session) => (
                "INSERT OR IGNORE INTO session_grant (id, session_id, type, pattern, created) VALUES (?1, ?2, ?3, ?4, ?5)",
                session.as_str(),
            ),
            None => (
                "INSERT OR IGNORE INTO permission_grant (id, project_id, type, pattern, created) VALUES (?1, ?2, ?3, ?4, ?5)",
                grant.project_id.as_str(),
            ),
        };
        self.connection.prepare_cached(sql)?.execute(params![grant.id.as_str(), owner, grant.kind, grant.pattern, grant.time.created])?;
        Ok(())
    }

    fn delete_grant(&mut self, project: &ProjectId, id: &GrantId) -> Result<bool> {
        for sql in [
            "DELETE FROM permission_grant WHERE project_id = ?1 AND id = ?2",
            "DELETE FROM session_grant WHERE id = ?2 AND session_id IN (SELECT id FROM session WHERE project_id = ?1)",
        ] {
            if self.connection.prepare_cached(sql)?.execute([project.as_str(), id.as_str()])? > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn grant(row: &Row<'_>, project: &ProjectId) -> Result<Grant> {
    let (id, session): (String, Option<String>) = (row.get(0)?, row.get(4)?);
    Ok(Grant {
        id: GrantId::parse(&id).unwrap_or_default(),
        project_id: project.clone(),
        session_id: session.and_then(|session| SessionId::parse(&session).ok()),
        kind: row.get(1)?,
        pattern: row.get(2)?,
        time: PermissionTime { created: row.get(3)? },
    })
}
