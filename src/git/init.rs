//! Creates a repository.

use super::{
    Error,
    program::{Answer, Git},
};
use crate::stdx::{paths::AbsPath, tasks::Tasks};

/// Creates a repository in a directory outside any repository. The first branch is named by the user's settings.
///
/// # Errors
/// When neither libgit2 nor the git program can create it.
pub async fn init(directory: &AbsPath) -> Result<(), Error> {
    let failed = |source| Error::Init { directory: directory.clone(), source };
    let path = directory.as_path().to_owned();
    let created = Tasks::spawn_blocking(move || git2::Repository::init(path).map(drop)).await;
    match created {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => tracing::debug!(%directory, %error, "libgit2 cannot create the repository; using the git program"),
        Err(error) => return Err(failed(error.into())),
    }
    let answer = Git::new(directory).ask(&["init", "--quiet"]).await.and_then(Answer::text);
    answer.map(drop).map_err(|error| failed(error.into()))
}
