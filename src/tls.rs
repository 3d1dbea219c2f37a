//! TLS as a client: whose certificates are trusted, for everything that this program fetches.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

/// TLS that trusts what this machine trusts, or Mozilla's list where it has none (an image of the server
/// alone has no certificates of a system).
///
/// # Errors
/// A sentence for admins when TLS cannot be set up.
pub fn client_config() -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|cause| format!("TLS cannot be set up: {cause}."))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
