//! What goes wrong while an image is built or booted: the real command, disturbed.

#[cfg(test)]
mod disturbed;
#[cfg(test)]
mod host;
#[cfg(test)]
mod machine;
#[cfg(test)]
mod node;
