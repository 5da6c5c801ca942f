//! Files of a turn have the umask of the client that started the turn, independent of who started the daemon.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;
use tokio::process::Command;

use super::support::{command::command, fixture::Fixture, model_server::Answer};

/// The same command in a shell that sets the umask first.
#[expect(clippy::disallowed_methods, reason = "a mask is inherited from a real process")]
fn masked(mask: &str, command: &Command) -> Command {
    let original = command.as_std();
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask $1; shift; exec \"$@\"", "sh", mask]).arg(original.get_program()).args(original.get_args());
    shell.current_dir(original.get_current_dir().unwrap()).env_clear();
    shell.envs(original.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell
}

#[tokio::test]
async fn files_have_the_mask_of_the_client_and_not_of_the_daemon() {
    let fixture = Fixture::new().await;
    for (mask, file, directory) in [("0022", 0o644, 0o755), ("0077", 0o600, 0o700), ("0002", 0o664, 0o775)] {
        let calls = [
            ("c1", "write", json!({ "filePath": format!("{mask}/written"), "content": "x" })),
            ("c2", "bash", json!({ "command": format!("touch made-{mask}"), "description": "x" })),
        ];
        fixture.models.push(Answer::openai_calls(&calls));
        fixture.models.push(Answer::openai_text("done"));
        let output = masked(mask, &command(&fixture, &["run", "--yes", "go"])).output().await.unwrap();
        assert!(output.status.success(), "{output:?}");
        let mode = |name: &str| std::fs::metadata(fixture.path("repo").join(name)).unwrap().permissions().mode() & 0o777;
        let modes = [mode(&format!("{mask}/written")), mode(&format!("made-{mask}")), mode(mask)];
        assert_eq!(modes, [file, file, directory], "{mask}");
    }
}
