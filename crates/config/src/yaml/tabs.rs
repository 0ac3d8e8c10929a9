//! Input for saphyr's parser that lets a tab stand between a `:` and its value.

use saphyr_parser::{Input, Parser, StrInput, input::SkipTabs};

/// A parser that takes tabs after a `:` as the readers of YAML 1.1 do.
///
/// YAML 1.2 allows them as well; saphyr refuses some, lest a tab stands where indentation is
/// meant.
pub(super) fn parser(text: &str) -> Parser<'_, Tabs<'_>> {
    Parser::new(Tabs(StrInput::new(text)))
}

/// Text of which every tab counts as a space where spaces are skipped.
pub(super) struct Tabs<'a>(StrInput<'a>);

/// Hands on to the text itself.
macro_rules! same {
    ($($name:ident(&self $(, $argument:ident: $kind:ty)*) $(-> $result:ty)?;)*) => {
        $(#[inline] fn $name(&self $(, $argument: $kind)*) $(-> $result)? { self.0.$name($($argument),*) })*
    };
    (mut $($name:ident(&mut self $(, $argument:ident: $kind:ty)*) $(-> $result:ty)?;)*) => {
        $(#[inline] fn $name(&mut self $(, $argument: $kind)*) $(-> $result)? { self.0.$name($($argument),*) })*
    };
}

impl Input for Tabs<'_> {
    fn skip_ws_to_eol(&mut self, tabs: SkipTabs) -> (usize, Result<SkipTabs, &'static str>) {
        let (skipped, result) = self.0.skip_ws_to_eol(tabs);
        (
            skipped,
            result.map(|found| SkipTabs::Result(found.found_tabs(), true)),
        )
    }

    same! {
        buflen(&self) -> usize;
        bufmaxlen(&self) -> usize;
        buf_is_empty(&self) -> bool;
        peek(&self) -> char;
        peek_nth(&self, n: usize) -> char;
        peek_opt(&self) -> Option<char>;
        next_char_is(&self, c: char) -> bool;
        nth_char_is(&self, n: usize, c: char) -> bool;
        next_2_are(&self, c1: char, c2: char) -> bool;
        next_3_are(&self, c1: char, c2: char, c3: char) -> bool;
        next_is_document_indicator(&self) -> bool;
        next_is_document_start(&self) -> bool;
        next_is_document_end(&self) -> bool;
        next_can_be_plain_scalar(&self, in_flow: bool) -> bool;
        next_is_blank_or_break(&self) -> bool;
        next_is_blank_or_breakz(&self) -> bool;
        next_is_blank(&self) -> bool;
        next_is_break(&self) -> bool;
        next_is_breakz(&self) -> bool;
        next_is_z(&self) -> bool;
        next_is_flow(&self) -> bool;
        next_is_digit(&self) -> bool;
        next_is_alpha(&self) -> bool;
    }

    same! {
        mut
        lookahead(&mut self, count: usize);
        raw_read_ch(&mut self) -> char;
        raw_read_non_breakz_ch(&mut self) -> Option<char>;
        skip(&mut self);
        skip_n(&mut self, count: usize);
        look_ch(&mut self) -> char;
        skip_while_non_breakz(&mut self) -> usize;
        skip_while_blank(&mut self) -> usize;
        fetch_while_is_alpha(&mut self, out: &mut String) -> usize;
        fetch_while_is_yaml_non_space(&mut self, out: &mut String) -> usize;
    }
}
