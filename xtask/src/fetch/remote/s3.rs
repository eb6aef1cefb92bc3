//! A bucket of S3's, or of a server that speaks its protocol.
//!
//! `rusty-s3` signs, and our own client sends. Who asks is known from the variables that AWS's own tools read, or from
//! the container that a build service runs the build in. Deliberately absent: profiles, single sign-on and the roles of
//! machines, which `aws configure export-credentials --format env` turns into variables.
//!
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use bedplate_core::secret::Secret;
use rusty_s3::{Credentials, S3Action as _, UrlStyle};
use serde::Deserialize;
use ureq::http::header;

use super::address::Request;
use super::settings::ADDRESS;
use super::{Client, PATIENCE};
use crate::error::UsageError;

/// What is read of the environment.
const VARIABLES: [&str; 10] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
];

/// Where a container asks for what `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` names.
const CONTAINER: &str = "http://169.254.170.2";

/// How long a signed address is good. The clocks of both sides differ.
const SIGNED_FOR: Duration = Duration::from_secs(60 * 60);

/// After this, a container is asked for newer credentials.
const FRESH_FOR: Duration = Duration::from_secs(10 * 60);

/// A place in a bucket.
pub(super) struct Bucket {
    bucket: rusty_s3::Bucket,
    /// With a slash at its end, or empty.
    prefix: String,
    environment: BTreeMap<&'static str, String>,
    credentials: Mutex<Option<(Instant, Credentials)>>,
    client: Client,
}

/// What a container's service hands out.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Handed {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bucket").field(&self.bucket.name()).finish()
    }
}

impl Bucket {
    /// The place that `BUCKET/PREFIX` names, in the region and at the endpoint of the environment.
    ///
    /// # Errors
    /// There is no region, or the name or the endpoint is none.
    pub fn open(place: &str, variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Self> {
        let environment: BTreeMap<&str, String> = VARIABLES
            .iter()
            .filter_map(|name| Some((*name, variable(name)?.into_string().ok()?)))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let first = |names: [&str; 2]| names.iter().find_map(|name| environment.get(name).cloned());
        let (name, prefix) = place.split_once('/').unwrap_or((place, ""));
        let endpoint = first(["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]);
        let region = first(["AWS_REGION", "AWS_DEFAULT_REGION"]);
        // Other servers have no regions, and most take this one.
        let region = region.or_else(|| endpoint.as_ref().map(|_| "us-east-1".to_owned()));
        let Some(region) = region else {
            return Err(UsageError(format!(
                "`{ADDRESS}` is a bucket, and `AWS_REGION` does not say of which region"
            ))
            .into());
        };
        let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let refuse =
            || UsageError(format!("invalid `{ADDRESS}` `s3://{place}`, or invalid `AWS_ENDPOINT_URL`"));
        // A certificate for `*.s3.…` is none for a name with dots.
        let style =
            if endpoint.is_some() || name.contains('.') { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let endpoint = endpoint.unwrap_or_else(|| format!("https://s3.{region}.{suffix}"));
        let endpoint = endpoint.parse().map_err(|_| refuse())?;
        let bucket = rusty_s3::Bucket::new(endpoint, style, name.to_owned(), region).map_err(|_| refuse())?;
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let (credentials, client) = (Mutex::default(), Client::direct(PATIENCE));
        Ok(Self { bucket, prefix, environment, credentials, client })
    }

    /// Whether what is sent can be read on the way.
    pub fn is_plain(&self) -> bool {
        self.bucket.base_url().scheme() == "http"
    }

    pub fn get(&self, name: &str) -> Result<Request, String> {
        let (credentials, key) = (self.credentials()?, format!("{}{name}", self.prefix));
        Ok(request(self.bucket.get_object(Some(&credentials), &key).sign(SIGNED_FOR)))
    }

    pub fn put(&self, name: &str) -> Result<Request, String> {
        let (credentials, key) = (self.credentials()?, format!("{}{name}", self.prefix));
        Ok(request(self.bucket.put_object(Some(&credentials), &key).sign(SIGNED_FOR)))
    }

    fn credentials(&self) -> Result<Credentials, String> {
        let mut known = self.credentials.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((asked, credentials)) = &*known
            && asked.elapsed() < FRESH_FOR
        {
            return Ok(credentials.clone());
        }
        let credentials = self.ask()?;
        *known = Some((Instant::now(), credentials.clone()));
        Ok(credentials)
    }

    fn ask(&self) -> Result<Credentials, String> {
        let variable = |name: &str| self.environment.get(name).map(String::as_str);
        if let (Some(key), Some(secret)) = (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"))
        {
            return Ok(credentials(key, secret, variable("AWS_SESSION_TOKEN")));
        }
        let relative = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        let full = variable("AWS_CONTAINER_CREDENTIALS_FULL_URI").map(str::to_owned);
        let Some(url) = relative.map(|path| format!("{CONTAINER}{path}")).or(full) else {
            return Err(
                "there are no credentials: set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, for example \
                        by `aws configure export-credentials --format env`"
                    .to_owned(),
            );
        };
        let mut request = self.client.get(&url);
        if let Some(token) = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN") {
            request = request.header(header::AUTHORIZATION, token);
        }
        let refuse = |why: &str| format!("the container's service hands out no credentials: {why}");
        let response = request.config().timeout_global(Some(PATIENCE.progress)).build().call();
        let mut response = response.map_err(|_| refuse("it does not answer"))?;
        if response.status() != 200 {
            return Err(refuse(&format!("it answers {}", response.status().as_u16())));
        }
        let text = response.body_mut().read_to_string().map_err(|_| refuse("its answer ends early"))?;
        // What a parser says could quote them.
        let handed: Handed =
            serde_json::from_str(&text).map_err(|_| refuse("its answer is something else"))?;
        Ok(credentials(&handed.access_key_id, &handed.secret_access_key, handed.token.as_deref()))
    }
}

fn credentials(key: &str, secret: &str, token: Option<&str>) -> Credentials {
    match token {
        Some(token) => Credentials::new_with_token(key, secret, token),
        None => Credentials::new(key, secret),
    }
}

fn request(url: impl ToString) -> Request {
    Request { url: Secret::new(url.to_string()), authorization: None }
}
