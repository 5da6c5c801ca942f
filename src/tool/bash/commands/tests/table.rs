//! Ordinary command lines and exactly the commands in them.

use expect_test::expect_file;

use super::{Dialect, analyse, render};

/// The lines of `table.txt`, each followed by what is found in it.
#[test]
fn ordinary_lines() {
    let mut text = String::new();
    for line in LINES {
        text.push_str("> ");
        text.push_str(&line.replace('\n', "\n> "));
        text.push('\n');
        text.push_str(&render(&analyse(line, Dialect::Bash)));
        text.push('\n');
    }
    expect_file!["table.txt"].assert_eq(&text);
}

const LINES: &[&str] = &[
    "ls",
    "ls -la src",
    "git status",
    "git add -A && git commit -m 'Say \"hello\"'",
    "git --no-pager log --oneline | head -n 20",
    "cargo test --lib 2>&1 | tail -30",
    "cd sub && make -j4; cd ..",
    "npm run build -- --watch &",
    "FOO=1 BAR=\"two words\" ./run.sh arg",
    "A=1",
    "A=$(git rev-parse HEAD)",
    "export PATH=\"$HOME/bin:$PATH\"",
    "echo $HOME \"${USER:-nobody}\" $((1 + 2))",
    "echo \"now: $(date +%F) in `pwd`\"",
    "diff <(sort a) <(sort b) > out.txt 2>/dev/null",
    "for f in *.rs; do wc -l \"$f\"; done",
    "for ((i = 0; i < 3; i++)); do echo $i; done",
    "while read -r line; do echo \"$line\"; done < input.txt",
    "until curl -sf localhost:8080; do sleep 1; done",
    "if [ -f Cargo.toml ]; then cargo build; elif [[ -d src && $x == a* ]]; then ls src; else echo none; fi",
    "case \"$1\" in start|go) echo up;; *) echo down;; esac",
    "(cd web && npm ci) && { echo ok; } || echo failed",
    "cat <<EOF > notes.txt\nhello $(whoami)\nEOF",
    "cat > a.py <<'EOF'\nimport os\nprint(\"$(not run)\")\nEOF\npython3 a.py",
    "grep -c x <<< \"$text\"",
    "build() { cargo build \"$@\"; }\nbuild --release",
    "function deploy { echo up; }; deploy",
    "! grep -q TODO src/main.rs",
    "time -p cargo build",
    "coproc sleep 1",
    "env RUST_LOG=debug cargo run",
    "sudo -u www systemctl restart nginx",
    "nohup ./server --port 80 > log 2>&1 &",
    "timeout -k 5 10s cargo test",
    "nice -n 10 make",
    "find . -name '*.tmp' -exec touch {} +",
    "find . -type f -execdir mv {} {}.bak \\; -print",
    "git ls-files | xargs -n 1 wc -l",
    "ls | xargs -I{} cp {} dest/",
    "bash -c 'echo hi && ls'",
    "sh -ec \"make all\"",
    "eval 'echo one; echo two'",
    "command -v rg",
    "trap 'echo bye' EXIT",
    "watch -n 1 'git status | head'",
    "stdbuf -oL ./run | tee out.log",
    "echo {a,b}.txt x{1..3}",
    "mkdir -p a/{b,c}",
    "echo a; # a comment; ls\npwd",
    "echo one \\\n  two",
    "[[ $a =~ ^(x|y)+$ ]] && echo yes",
    "arr=(one two \"$(date)\"); echo \"${arr[@]}\"",
    "python -c 'import sys; print(sys.path)'",
    "docker compose up -d",
    "kubectl get pods -n \"$NS\"",
    "ssh host 'uname -a'",
    "PAGER=cat git diff",
    "git -C sub log -1",
    "/usr/bin/env python3 x.py",
    "> empty.txt",
    "echo 'it''s' \"a\"'b'c",
    "exec 3<>file; echo x >&3; exec 3>&-",
    "sed -n '1,20p' src/lib.rs",
    "awk '{ print $1 }' file | sort | uniq -c | sort -rn",
    "test -n \"$CI\" || exit 1",
    "cat file | while read a b; do echo \"$b\"; done | sort",
    "curl -s https://example.com/a?b=c&d | jq '.x[] | select(.y == 1)'",
    "printf '%s\\n' a b",
    "set -euo pipefail; cargo fmt --check",
    "echo \"$(cat \"$(ls | head -1)\")\"",
    "n=$(wc -l < file); echo $((n * 2))",
    "git commit -F - <<'MSG'\nFix `parse` and $(this)\nMSG",
    "select x in a b; do echo $x; break; done",
    "echo ${x//a/b} ${#x} ${x%.*} ${!x}",
    "",
    "# only a comment",
];
