//! `VMware`: `guestinfo` variables, read by the tools of the guest. Only they can: the way to the
//! hypervisor is a privileged instruction.

use std::{
    io::Read as _,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value as Json;

use crate::datasource::{
    Miss,
    dmi::{Platform, Presence},
    found::{Found, Part},
    machine::{Machine, wait_until},
    volume::MOST_BYTES,
};

/// How long one variable may take.
const LIMIT: Duration = Duration::from_secs(10);

pub(super) fn ask(machine: &Machine<'_>) -> Result<Found, Miss> {
    let presence = machine.dmi.presence(Platform::Vmware);
    if let Presence::Elsewhere(other) = presence {
        return Err(Miss::NotHere(format!(
            "the firmware says that this is {other}"
        )));
    }
    let Some(tool) = Tool::find(machine) else {
        let why = "neither vmware-rpctool nor vmtoolsd is installed; add the package open-vm-tools to the image";
        return Err(match presence {
            Presence::Here => Miss::Failed(why.to_owned()),
            _ => Miss::NotHere(why.to_owned()),
        });
    };
    let mut found = Found::at("guestinfo");
    let mut has_any = false;
    match tool.variable("metadata") {
        Ok(None) => {}
        Ok(Some(data)) => {
            has_any = true;
            read_metadata(&mut found, &data);
        }
        Err(why) => {
            has_any = true;
            found.unread(Part::Hostname, &why);
        }
    }
    match tool.variable("userdata") {
        Ok(None) => {}
        Ok(Some(data)) => {
            has_any = true;
            found.set_user_data(data);
        }
        Err(why) => {
            has_any = true;
            found.unread(Part::UserData, &why);
        }
    }
    if has_any {
        return Ok(found);
    }
    Err(Miss::NotHere(
        "guestinfo.userdata and guestinfo.metadata are not set".to_owned(),
    ))
}

fn read_metadata(found: &mut Found, data: &[u8]) {
    found.set_metadata_text(data);
    let Ok(value) = lifeboat_config::untyped(data) else {
        return;
    };
    // `network` is a mapping, or text packed as `network.encoding` says.
    match (&value["network"], value["network.encoding"].as_str()) {
        (Json::String(text), encoding) => {
            match decode(text.as_bytes().to_vec(), encoding.unwrap_or_default()) {
                Ok(config) => found.network_config = Some(config),
                Err(why) => found.unread(Part::Network, &why),
            }
        }
        (config @ Json::Object(_), _) => {
            found.network_config = Some(config.to_string().into_bytes());
        }
        _ => {}
    }
}

enum Tool {
    Rpctool(PathBuf),
    Toolsd(PathBuf),
}

impl Tool {
    fn find(machine: &Machine<'_>) -> Option<Self> {
        ["usr/bin", "usr/sbin"].iter().find_map(|folder| {
            let folder = machine.system(folder);
            let rpctool = folder.join("vmware-rpctool");
            if rpctool.exists() {
                return Some(Self::Rpctool(rpctool));
            }
            let toolsd = folder.join("vmtoolsd");
            toolsd.exists().then_some(Self::Toolsd(toolsd))
        })
    }

    /// A variable, decoded; none if it is not set.
    fn variable(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        let Some(data) = self.raw(&format!("guestinfo.{name}"))? else {
            return Ok(None);
        };
        // `---` is what others leave in place of one that was used.
        if data.iter().all(u8::is_ascii_whitespace) || data.trim_ascii() == b"---" {
            return Ok(None);
        }
        let encoding = self
            .raw(&format!("guestinfo.{name}.encoding"))?
            .unwrap_or_default();
        let encoding = String::from_utf8_lossy(&encoding)
            .trim()
            .to_ascii_lowercase();
        decode(data, &encoding).map(Some)
    }

    fn raw(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        let request = format!("info-get {name}");
        let mut command = match self {
            Self::Rpctool(path) => {
                let mut command = Command::new(path);
                command.arg(request);
                command
            }
            Self::Toolsd(path) => {
                let mut command = Command::new(path);
                command.args(["--cmd", &request]);
                command
            }
        };
        let failed = |error: std::io::Error| format!("cannot run the tool of VMware: {error}");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let output = child.stdout.take();
        let reader = thread::spawn(move || {
            let mut content = Vec::new();
            let read = output.map(|output| output.take(2 * MOST_BYTES).read_to_end(&mut content));
            read.transpose().map(|_| content)
        });
        let mut status = None;
        let ended = wait_until(Instant::now() + LIMIT, || {
            status = child.try_wait().ok().flatten();
            status.is_some()
        });
        if !ended {
            // It ends now, and with it the reader.
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!(
                "the tool of VMware gave no answer within {} s",
                LIMIT.as_secs()
            ));
        }
        let content = reader
            .join()
            .map_err(|_| "the tool of VMware could not be read".to_owned())?
            .map_err(failed)?;
        // It fails where the variable is not set.
        if !status.is_some_and(|status| status.success()) {
            return Ok(None);
        }
        Ok(Some(content))
    }
}

/// Takes base64 off; gzip is taken off later, whether it is declared or not.
fn decode(data: Vec<u8>, encoding: &str) -> Result<Vec<u8>, String> {
    match encoding {
        "" => Ok(data),
        "base64" | "b64" => super::base64(&data)
            .ok_or_else(|| "it is not base64, which its encoding says".to_owned()),
        "gzip+base64" | "gz+b64" => {
            let packed = super::base64(&data).ok_or("it is not base64, which its encoding says")?;
            let mut plain = Vec::new();
            flate2::read::MultiGzDecoder::new(&*packed)
                .take(MOST_BYTES + 1)
                .read_to_end(&mut plain)
                .map_err(|_| "it is not gzip, which its encoding says, or cut off")?;
            if plain.len() as u64 > MOST_BYTES {
                return Err("larger than 4 MiB, which is the most that is read".to_owned());
            }
            Ok(plain)
        }
        _ => Err("its encoding is none of base64 and gzip+base64".to_owned()),
    }
}
