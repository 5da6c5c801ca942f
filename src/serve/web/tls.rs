//! TLS with a certificate and a key from files. Errors name the file.

use std::sync::Arc;

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ConfigBuilder, ServerConfig,
        crypto::ring,
        pki_types::{
            CertificateDer, PrivateKeyDer,
            pem::{self, PemObject as _},
        },
    },
};

use super::options::invalid;
use crate::{daemon::listeners::Error, stdx::paths::AbsPath};

/// Reads both files.
///
/// # Errors
/// `Invalid`, with the file and the problem.
pub fn acceptor(certificate: &AbsPath, key: &AbsPath) -> Result<TlsAcceptor, Error> {
    let refuse = |field, path: &AbsPath, reason: String| invalid(field, format!("{path} {reason}"));
    let unusable = |field, path, what: &str, error: pem::Error| {
        let reason = match error {
            pem::Error::Io(error) => format!("cannot be read: {error}"),
            pem::Error::NoItemsFound => format!("holds no {what} in PEM form"),
            // Without the parser's message, which may quote the key.
            _ => "is not well-formed PEM".to_owned(),
        };
        refuse(field, path, reason)
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable("certificate", certificate, "certificate", error))?;
    if chain.is_empty() {
        return Err(refuse("certificate", certificate, "holds no certificate in PEM form".to_owned()));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable("key", key, "private key without a password", error))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map(ConfigBuilder::<ServerConfig, _>::with_no_client_auth)
        .and_then(|builder| builder.with_single_cert(chain, private));
    let mut config = config.map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => refuse("key", key, format!("is not the key of {certificate}")),
        rustls::Error::InvalidCertificate(_) => refuse("certificate", certificate, "holds a certificate that cannot be used".to_owned()),
        error => refuse("key", key, format!("cannot be used: {error}")),
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_do_not_do_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let root = AbsPath::new(directory.path()).unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(root.join(name), text).unwrap();
            root.join(name)
        };
        let pair = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let (one, two) = (pair("localhost"), pair("localhost"));
        let certificate = write("certificate.pem", &one.cert.pem());
        let key = write("key.pem", &one.signing_key.serialize_pem());
        let other = write("other.pem", &two.signing_key.serialize_pem());
        let empty = write("empty.pem", "nothing here\n");
        let broken = write("broken.pem", "-----BEGIN CERTIFICATE-----\nno base 64!\n-----END CERTIFICATE-----\n");
        let missing = root.join("missing.pem");
        assert!(acceptor(&certificate, &key).is_ok());
        let reason = |certificate: &AbsPath, key: &AbsPath| {
            acceptor(certificate, key).map(drop).unwrap_err().to_string().replace(directory.path().to_str().unwrap(), "")
        };
        assert_eq!(reason(&certificate, &other), "`key`: /other.pem is not the key of /certificate.pem");
        assert_eq!(reason(&missing, &key), "`certificate`: /missing.pem cannot be read: No such file or directory (os error 2)");
        assert_eq!(reason(&empty, &key), "`certificate`: /empty.pem holds no certificate in PEM form");
        assert_eq!(reason(&key, &certificate), "`certificate`: /key.pem holds no certificate in PEM form");
        assert_eq!(reason(&certificate, &empty), "`key`: /empty.pem holds no private key without a password in PEM form");
        assert_eq!(reason(&broken, &key), "`certificate`: /broken.pem is not well-formed PEM");
    }
}
