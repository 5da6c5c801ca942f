//! Where programs keep keys and logins: one table, for the tools, which ask before they touch such a place, and for the sandbox,
//! which never opens one. Pure.

use std::collections::BTreeMap;

use crate::stdx::paths::AbsPath;

/// Below the user's home. The names of other systems do no harm here.
const BELOW_HOME: &[&str] = &[
    // Keys of logins and of encryption.
    ".ssh",
    ".gnupg",
    ".password-store",
    ".config/age",
    ".config/sops",
    ".local/share/keyrings",
    ".local/share/kwalletd",
    ".config/op",
    ".config/1Password",
    ".config/Bitwarden",
    ".config/Bitwarden CLI",
    "Library/Keychains",
    "AppData/Roaming/Microsoft/Credentials",
    "AppData/Local/Microsoft/Credentials",
    // Logins of programs that fetch.
    ".netrc",
    "_netrc",
    ".authinfo",
    ".authinfo.gpg",
    ".pgpass",
    ".my.cnf",
    ".mylogin.cnf",
    ".git-credentials",
    ".config/git/credentials",
    ".config/gh",
    ".config/glab-cli",
    ".config/hub",
    ".config/rclone",
    ".config/heroku",
    ".s3cfg",
    ".boto",
    // Clouds and clusters.
    ".aws",
    ".azure",
    ".config/gcloud",
    ".oci",
    ".config/doctl",
    ".fly",
    ".kube",
    ".docker/config.json",
    ".config/containers/auth.json",
    ".vault-token",
    ".terraform.d/credentials.tfrc.json",
    ".terraformrc",
    // Registries of packages.
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".npmrc",
    ".yarnrc.yml",
    ".pypirc",
    ".pip/pip.conf",
    ".config/pip/pip.conf",
    ".bundle/config",
    ".config/pypoetry/auth.toml",
    ".gem/credentials",
    ".local/share/gem/credentials",
    ".nuget/NuGet.Config",
    ".nuget/NuGet/NuGet.Config",
    ".m2/settings.xml",
    ".m2/settings-security.xml",
    ".gradle/gradle.properties",
    ".composer/auth.json",
    ".config/composer/auth.json",
    // Models.
    ".claude/.credentials.json",
    ".codex/auth.json",
    ".gemini/oauth_creds.json",
    ".local/share/opencode/auth.json",
    ".config/github-copilot",
    ".cache/huggingface/token",
    ".huggingface/token",
    ".kaggle/kaggle.json",
    // What browsers remember.
    ".mozilla",
    ".pki",
    ".thunderbird",
    ".config/google-chrome",
    ".config/chromium",
    ".config/BraveSoftware",
    ".config/microsoft-edge",
    ".config/vivaldi",
    ".config/opera",
    "snap/firefox",
    ".var/app/org.mozilla.firefox",
    "Library/Application Support/Google/Chrome",
    "Library/Application Support/Firefox",
    "Library/Cookies",
];

/// Variables that move some of them, and what lies in the directory that they name; empty: they name the place itself.
const MOVED: &[(&str, &[&str])] = &[
    ("GNUPGHOME", &[""]),
    ("PASSWORD_STORE_DIR", &[""]),
    ("NETRC", &[""]),
    ("PGPASSFILE", &[""]),
    ("GH_CONFIG_DIR", &[""]),
    ("AWS_CONFIG_FILE", &[""]),
    ("AWS_SHARED_CREDENTIALS_FILE", &[""]),
    ("AZURE_CONFIG_DIR", &[""]),
    ("CLOUDSDK_CONFIG", &[""]),
    ("GOOGLE_APPLICATION_CREDENTIALS", &[""]),
    ("KUBECONFIG", &[""]),
    ("DOCKER_CONFIG", &["config.json"]),
    ("REGISTRY_AUTH_FILE", &[""]),
    ("CARGO_HOME", &["credentials", "credentials.toml"]),
    ("NPM_CONFIG_USERCONFIG", &[""]),
    ("npm_config_userconfig", &[""]),
    ("COMPOSER_HOME", &["auth.json"]),
    ("GRADLE_USER_HOME", &["gradle.properties"]),
    ("HF_HOME", &["token"]),
    ("CODEX_HOME", &["auth.json"]),
    (
        "XDG_CONFIG_HOME",
        &["gh", "git/credentials", "gcloud", "glab-cli", "hub", "rclone", "google-chrome", "chromium", "op", "age", "sops"],
    ),
    ("XDG_DATA_HOME", &["keyrings", "kwalletd"]),
];

/// The stores of keys of a user with this home and these variables, whether they are there or not.
#[must_use]
pub fn key_stores(home: Option<&AbsPath>, environment: &BTreeMap<String, String>) -> Vec<AbsPath> {
    let mut stores: Vec<AbsPath> = home.into_iter().flat_map(|home| BELOW_HOME.iter().map(|name| home.join(name))).collect();
    for (variable, names) in MOVED {
        // A list, as KUBECONFIG may be.
        let values = environment.get(*variable).into_iter().flat_map(|value| std::env::split_paths(value).collect::<Vec<_>>());
        for directory in values.filter_map(AbsPath::new) {
            stores.extend(names.iter().map(|name| if name.is_empty() { directory.clone() } else { directory.join(name) }));
        }
    }
    stores
}
