//! Resources: where data comes from, how it is packed and checked.

use super::{super::data_url, Node, Rules, Url, by};

impl Rules<'_> {
    /// Data of a file or key: spec 3.0 to 3.6 alike but for headers.
    pub(super) fn resource(&mut self, resource: &Node) {
        if !resource.is_filled() {
            return;
        }
        if let Some(compression) = resource.text("compression")
            && !matches!(compression, "" | "gzip")
        {
            self.invalid(
                resource,
                "compression",
                "only gzip, or nothing, is known as compression",
            );
        }
        self.verification(resource);
        if resource.below("verification").text("hash").is_some() && !has_source(resource) {
            self.invalid(
                resource.below("verification"),
                "hash",
                "a hash needs a source that it is of",
            );
        }
        if let Some(source) = resource.filled("source")
            && let Some(flaw) = self.url_flaw(source)
        {
            self.invalid(resource, "source", flaw);
        }
        self.headers(resource);
    }

    /// A configuration or certificate; spec 3.0 looked at less.
    pub(super) fn reference(&mut self, resource: &Node) {
        if self.spec > 0 {
            self.resource(resource);
            return;
        }
        self.verification(resource);
        if let Some(source) = resource.filled("source")
            && let Some(flaw) = self.url_flaw(source)
        {
            self.invalid(resource, "source", flaw);
        }
    }

    /// A list of resources of which each must have a source.
    pub(super) fn required_resources(&mut self, parent: &Node, key: &str) {
        for item in parent.list(key) {
            self.reference(item);
            if ["source", "inline", "local"]
                .iter()
                .any(|key| item.is_bad(key))
                || ["inline", "local"]
                    .iter()
                    .any(|key| item.get(key).is_some())
            {
                continue;
            }
            let flaw = match item.filled("source") {
                None => Some("a source is needed".to_owned()),
                Some(source) => self.url_flaw(source),
            };
            let Some(flaw) = flaw else { continue };
            if self.spec > 0 {
                self.invalid_at(item, flaw);
            } else if key == "certificateAuthorities" {
                self.invalid(item, "source", flaw);
            }
        }
    }

    fn headers(&mut self, resource: &Node) {
        let headers = resource.list("httpHeaders");
        for header in headers {
            if header.filled("name").is_none() && !header.is_bad("name") {
                self.invalid(header, "name", "a header needs a name");
            }
            if header.text("value") == Some("") {
                self.invalid(
                    header,
                    "value",
                    "a header's value may not be empty; null removes an inherited header",
                );
            }
        }
        self.unique(resource, "httpHeaders", by("name"), "a header of this name");
        if headers.is_empty() || resource.is_bad("source") {
            return;
        }
        let scheme = match resource.filled("source") {
            // Butane makes a data URL of it.
            None if has_source(resource) => Some(Url::parse("data:,")),
            source => source.map(Url::parse),
        };
        match scheme {
            None | Some(None) => self.invalid(
                resource,
                "httpHeaders",
                "headers need a source that is a URL",
            ),
            Some(Some(url)) if !matches!(url.scheme.as_str(), "http" | "https") => self.invalid(
                resource,
                "httpHeaders",
                "only http and https sources take headers",
            ),
            Some(Some(_)) => {}
        }
    }

    fn verification(&mut self, resource: &Node) {
        let verification = resource.below("verification");
        let Some(hash) = verification.text("hash") else {
            return;
        };
        let message = match hash.split_once('-') {
            None => "a hash is written FUNCTION-HEX, such as sha512-…",
            Some(("sha512", sum)) if sum.len() == 128 => return,
            Some(("sha256", sum)) if sum.len() == 64 && self.spec > 0 => return,
            Some(("sha512", _)) => "a sha512 sum has 128 digits",
            Some(("sha256", _)) if self.spec > 0 => "a sha256 sum has 64 digits",
            Some(("sha256", _)) => "spec 3.0 knows only sha512; sha256 came with spec 3.1",
            Some(_) => "the hash function is not known; use sha512 or sha256",
        };
        self.invalid(verification, "hash", message);
    }

    /// Why Ignition does not take a URL.
    pub(super) fn url_flaw(&self, text: &str) -> Option<String> {
        let Some(url) = Url::parse(text) else {
            return Some("is not a URL".to_owned());
        };
        let empty_version = || {
            url.is_empty_in_query("versionId")
                .filter(|empty| *empty)
                .map(|_| "`versionId` of an S3 object may not be empty".to_owned())
        };
        match url.scheme.as_str() {
            "http" | "https" | "tftp" => None,
            "gs" if self.spec >= 2 => None,
            "gs" => Some("spec 3.2 is the first one with gs:// URLs".to_owned()),
            "s3" => empty_version(),
            "arn" if self.spec >= 4 => arn_flaw(url.opaque).or_else(empty_version),
            "arn" => Some("spec 3.4 is the first one with S3 ARNs".to_owned()),
            "data" => data_url::decode(text).err(),
            "" => Some("the URL has no scheme such as https: or data:".to_owned()),
            other => Some(format!(
                "the URL's scheme {other:?} is not known; known are http, https, tftp, s3{}, data",
                match self.spec {
                    0 | 1 => "",
                    2 | 3 => ", gs",
                    _ => ", gs, arn",
                }
            )),
        }
    }
}

/// Whether there is data: in Butane also in the document itself or in a file beside it.
pub(super) fn has_source(resource: &Node) -> bool {
    ["source", "inline", "local"]
        .iter()
        .any(|key| resource.get(key).is_some())
}

/// `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE` of S3.
fn arn_flaw(opaque: &str) -> Option<String> {
    let parts: Vec<&str> = opaque.splitn(5, ':').collect();
    let slashes = opaque.matches('/').count();
    let fine = match parts.as_slice() {
        [_, "s3", _, _, resource] => {
            slashes >= 1 && (!resource.starts_with("accesspoint/") || slashes >= 2)
        }
        _ => false,
    };
    (!fine).then(|| "is not the ARN of an S3 object".to_owned())
}
