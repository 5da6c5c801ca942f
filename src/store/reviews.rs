//! What the user decided about the changes of a session.

use polytree_protocol::{
    id::{MessageId, SessionId},
    part::PatchPart,
};

use super::{Error, Store, rows::Review};

impl Store {
    /// What the session changed, and what the user decided about it, each in order.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn changes(&self, session: SessionId) -> Result<(Vec<PatchPart>, Vec<Review>), Error> {
        self.read(move |rows| Ok((rows.patches(&session)?, rows.reviews(&session)?))).await
    }

    /// The decisions that the model is told with this prompt: those that it was not told yet.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn tell_reviews(&self, session: SessionId, prompt: MessageId) -> Result<Vec<Review>, Error> {
        let known = session.clone();
        let reviews = self.read(move |rows| rows.reviews(&known)).await?;
        let is_told = |review: &Review| review.told.as_ref() == Some(&prompt);
        if reviews.iter().all(|review| review.told.is_some()) {
            return Ok(reviews.into_iter().filter(is_told).collect());
        }
        self.write(move |transaction| {
            transaction.rows.tell_reviews(&session, &prompt)?;
            let reviews = transaction.rows.reviews(&session)?;
            Ok(reviews.into_iter().filter(|review| review.told.as_ref() == Some(&prompt)).collect())
        })
        .await
    }
}
