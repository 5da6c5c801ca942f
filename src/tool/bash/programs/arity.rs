//! How many words identify a command: `git push` is another command than `git status`, `ls -l` is the same as `ls`.

/// Prefixes and the number of words that identify what begins with them. The longest prefix counts; without one it is 1.
const ARITY: &[(&str, usize)] = &[
    ("apt", 2),
    ("apt-get", 2),
    ("asdf", 2),
    ("aws", 3),
    ("az", 3),
    ("bazel", 2),
    ("brew", 2),
    ("bun", 2),
    ("bun pm", 3),
    ("bun run", 3),
    ("bun x", 3),
    ("bundle", 2),
    ("bundle exec", 3),
    ("cargo", 2),
    ("composer", 2),
    ("conda", 2),
    ("dart", 2),
    ("deno", 2),
    ("deno task", 3),
    ("direnv", 2),
    ("dnf", 2),
    ("docker", 2),
    ("docker builder", 3),
    ("docker buildx", 3),
    ("docker compose", 3),
    ("docker container", 3),
    ("docker image", 3),
    ("docker network", 3),
    ("docker volume", 3),
    ("docker-compose", 2),
    ("dotnet", 2),
    ("flutter", 2),
    ("flyctl", 2),
    ("gcloud", 3),
    ("gem", 2),
    ("gh", 3),
    ("git", 2),
    ("git bisect", 3),
    ("git config", 3),
    ("git notes", 3),
    ("git reflog", 3),
    ("git remote", 3),
    ("git stash", 3),
    ("git submodule", 3),
    ("git worktree", 3),
    ("glab", 3),
    ("go", 2),
    ("go mod", 3),
    ("go tool", 3),
    ("golangci-lint", 2),
    ("gradle", 2),
    ("gradlew", 2),
    ("helm", 2),
    ("helm repo", 3),
    ("heroku", 2),
    ("jj", 2),
    ("jj bookmark", 3),
    ("jj git", 3),
    ("just", 2),
    ("kubectl", 2),
    ("kubectl config", 3),
    ("kubectl rollout", 3),
    ("make", 2),
    ("meson", 2),
    ("minikube", 2),
    ("mise", 2),
    ("mix", 2),
    ("mvn", 2),
    ("mvnw", 2),
    ("nix", 2),
    ("nix flake", 3),
    ("npm", 2),
    ("npm pkg", 3),
    ("npm config", 3),
    ("npm exec", 3),
    ("npm run", 3),
    ("npx", 2),
    ("pdm", 2),
    ("pdm run", 3),
    ("pip", 2),
    ("pip3", 2),
    ("pipx", 2),
    ("pixi", 2),
    ("pnpm", 2),
    ("pnpm config", 3),
    ("pnpm dlx", 3),
    ("pnpm exec", 3),
    ("pnpm run", 3),
    ("podman", 2),
    ("podman compose", 3),
    ("poetry", 2),
    ("poetry run", 3),
    ("pulumi", 2),
    ("rails", 2),
    ("rake", 2),
    ("ruff", 2),
    ("rustup", 2),
    ("sbt", 2),
    ("snap", 2),
    ("svn", 2),
    ("swift", 2),
    ("systemctl", 2),
    ("terraform", 2),
    ("terraform state", 3),
    ("tofu", 2),
    ("turbo", 2),
    ("turbo run", 3),
    ("uv", 2),
    ("uv tool", 3),
    ("uv pip", 3),
    ("uv run", 3),
    ("uvx", 2),
    ("vercel", 2),
    ("vitest", 2),
    ("yarn", 2),
    ("yarn config", 3),
    ("yarn dlx", 3),
    ("yarn run", 3),
    ("zig", 2),
    ("python -m", 3),
    ("python3 -m", 3),
];

/// How many of the words identify the command.
pub(super) fn arity(words: &[&str]) -> usize {
    let known = |length: usize| {
        let prefix = words.get(..length)?.join(" ");
        ARITY.iter().find(|(known, _)| *known == prefix).map(|(_, arity)| *arity)
    };
    (1..=3).rev().find_map(known).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::{ARITY, arity};

    #[test]
    fn the_longest_known_prefix_counts() {
        for (line, expected) in [
            ("ls -l", 1),
            ("git", 2),
            ("git status -s", 2),
            ("git remote add origin x", 3),
            ("npm run build", 3),
            ("npm install", 2),
            ("docker compose up -d", 3),
            ("docker ps", 2),
            ("python x.py", 1),
            ("python -m pytest", 3),
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(arity(&words), expected, "{line}");
        }
    }

    #[test]
    fn every_entry_counts_more_than_the_default_and_stands_once() {
        for (at, (prefix, words)) in ARITY.iter().enumerate() {
            assert!(*words > 1 && *words >= prefix.split(' ').count(), "{prefix}");
            assert!(ARITY[..at].iter().all(|(other, _)| other != prefix), "{prefix} twice");
        }
    }
}
