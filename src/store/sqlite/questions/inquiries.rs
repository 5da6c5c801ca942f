//! What models ask the user.

use polytree_protocol::{
    id::{ProjectId, QuestionId, SessionId},
    question::Question,
};
use rusqlite::{Row, params};

use crate::store::{
    Error, Inquiry, InquiryEnd,
    rows::{Inquiries, StoredInquiry},
    sqlite::SqliteRows,
};

type Result<T> = std::result::Result<T, Error>;

const COLUMNS: &str = "SELECT data, project_id, directory, outcome, answers, message FROM question";

fn from_row(row: &Row<'_>) -> Result<StoredInquiry> {
    let project: String = row.get(1)?;
    let (outcome, answers, message): (Option<String>, Option<String>, Option<String>) = (row.get(3)?, row.get(4)?, row.get(5)?);
    let answers = answers.map(|answers| serde_json::from_str(&answers)).transpose()?;
    let outcome = outcome.map(|word| serde_json::from_value(word.into())).transpose()?;
    Ok(StoredInquiry {
        inquiry: Inquiry {
            question: serde_json::from_str(&row.get::<_, String>(0)?)?,
            project_id: ProjectId::parse(&project).unwrap_or_default(),
            directory: row.get(2)?,
        },
        end: outcome.map(|outcome| InquiryEnd::from_parts(outcome, answers, message)),
    })
}

/// A tool call asks once.
fn call_key(question: &Question) -> Result<String> {
    Ok(serde_json::to_string(&(&question.message_id, &question.call_id))?)
}

impl SqliteRows<'_> {
    fn find_inquiries(&self, condition: &str, values: &[&str]) -> Result<Vec<StoredInquiry>> {
        let mut statement = self.connection.prepare_cached(&format!("{COLUMNS} WHERE {condition} ORDER BY id"))?;
        let mut rows = statement.query(rusqlite::params_from_iter(values))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(from_row(row)?);
        }
        Ok(found)
    }
}

impl Inquiries for SqliteRows<'_> {
    fn inquiry(&self, id: &QuestionId) -> Result<Option<StoredInquiry>> {
        Ok(self.find_inquiries("id = ?1", &[id.as_str()])?.pop())
    }

    fn same_inquiry(&self, inquiry: &Inquiry) -> Result<Option<StoredInquiry>> {
        let call = call_key(&inquiry.question)?;
        Ok(self.find_inquiries("session_id = ?1 AND call = ?2", &[inquiry.question.session_id.as_str(), &call])?.pop())
    }

    fn open_inquiries(&self, session: Option<&SessionId>) -> Result<Vec<Inquiry>> {
        let found = match session {
            None => self.find_inquiries("outcome IS NULL", &[])?,
            Some(session) => self.find_inquiries("outcome IS NULL AND session_id = ?1", &[session.as_str()])?,
        };
        Ok(found.into_iter().map(|stored| stored.inquiry).collect())
    }

    fn insert_inquiry(&mut self, inquiry: &Inquiry) -> Result<()> {
        let Inquiry { question, project_id, directory } = inquiry;
        self.connection
            .prepare_cached("INSERT INTO question (id, project_id, session_id, directory, call, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
            .execute(params![
                question.id.as_str(),
                project_id.as_str(),
                question.session_id.as_str(),
                directory,
                call_key(question)?,
                serde_json::to_string(question)?
            ])?;
        Ok(())
    }

    fn settle_inquiry(&mut self, id: &QuestionId, end: &InquiryEnd) -> Result<()> {
        let (outcome, answers, message) = end.parts();
        let word = serde_json::to_value(outcome)?;
        let answers = answers.map(serde_json::to_string).transpose()?;
        self.connection.prepare_cached("UPDATE question SET outcome = ?2, answers = ?3, message = ?4 WHERE id = ?1")?.execute(params![
            id.as_str(),
            word.as_str(),
            answers,
            message
        ])?;
        Ok(())
    }
}
