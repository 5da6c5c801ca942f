//! Where keys may be sent: if a project's settings set the address of a provider, the user's keys are sent there only if
//! the user's own settings name that address, too.

use url::Url;

use crate::config::Settings;

/// The address of a provider that only the project's settings name; `None` if the user's own settings name it, or the
/// project sets none.
pub(super) fn untrusted(settings: &Settings, provider: &str) -> Option<String> {
    let options = || settings.layers.iter().rev().filter_map(|layer| Some((layer, &layer.config.provider.get(provider)?.options)));
    let address = options().find_map(|(layer, options)| Some((layer, options.base_url.as_ref()?)));
    let proxy = options().find_map(|(layer, options)| Some((layer, options.proxy.as_ref()?))).filter(|(_, proxy)| *proxy != "none");
    let trusted: Vec<&String> =
        options().filter(|(layer, _)| layer.origin.is_user()).flat_map(|(_, options)| &options.trusted_urls).collect();
    let mut foreign = [address, proxy].into_iter().flatten().filter(|(layer, _)| !layer.origin.is_user()).map(|(_, url)| url);
    foreign.find(|url| !trusted.iter().any(|trusted| covers(trusted, url))).cloned()
}

/// Whether the address is the trusted one or below it.
fn covers(trusted: &str, address: &str) -> bool {
    let (Ok(trusted), Ok(address)) = (Url::parse(trusted), Url::parse(address)) else { return false };
    let above = trusted.path().trim_end_matches('/');
    let below = address.path().strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    trusted.origin().is_tuple() && trusted.origin() == address.origin() && below
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn an_address_is_trusted_with_what_lies_below_it() {
        for (trusted, address, expected) in [
            ("https://models.example/v1", "https://models.example/v1/", true),
            ("https://models.example/v1/", "https://models.example/v1", true),
            ("https://models.example", "https://MODELS.example:443/v1/x", true),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1", true),
            ("https://models.example/v1", "https://models.example/v10", false),
            ("https://models.example/v1", "https://models.example/v1/../other", false),
            ("https://models.example", "http://models.example", false),
            ("https://models.example", "https://models.example.evil/", false),
            ("https://models.example", "https://models.example@evil/", false),
            ("https://models.example", "https://evil\\@models.example/", false),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8081/v1", false),
            ("models.example", "models.example", false),
            ("data:a", "data:a", false),
        ] {
            assert_eq!(covers(trusted, address), expected, "{trusted} {address}");
        }
    }
}
