//! What the words of a command mean that are no options.

use super::{
    effects::program_name,
    inner::shell_text,
    place::{Access, PathUse, Place, Rest, here, unknown},
    special,
    table::{Kind, Mode, Trait},
    walk::Walk,
    word::Argument,
};

impl Walk<'_, '_> {
    pub(super) fn use_operands(&mut self) {
        if self.has(Mode::Query) || self.has(Mode::Runs) {
            return;
        }
        let special = self.program.traits.iter().find_map(|special| match special {
            Trait::Special(name) => Some(*name),
            _ => None,
        });
        if let Some(special) = special {
            special::apply(special, self);
            return;
        }
        let operands = std::mem::take(&mut self.operands);
        let first: &[Kind] = if self.skips_first { self.program.first.get(1..).unwrap_or_default() } else { &self.program.first };
        let fixed = first.len().min(operands.len());
        for ((at, place), kind) in operands[..fixed].iter().zip(first) {
            self.operand(*kind, *at, place);
        }
        let rest = &operands[fixed..];
        if self.takes_command(rest) {
            self.look_for_input(operands.len());
            return;
        }
        if let Some((at, _)) = rest.first().filter(|_| self.program.is(Trait::Remote)) {
            self.remote(&self.words[*at..]);
            self.effects.elsewhere = self.words[*at..].to_vec();
        }
        let last = if rest.len() > 1 && !self.has_into { self.program.last } else { None };
        let before = self.effects.paths.len();
        for (index, (at, place)) in rest.iter().enumerate() {
            let kind = if index + 1 == rest.len() { last.or(self.program.rest) } else { self.program.rest };
            self.operand(kind.unwrap_or(Kind::Text), *at, place);
        }
        if last == Some(Kind::Target)
            && let Some((_, sources)) = rest.split_last()
        {
            self.name_what_is_put(before, &sources.iter().map(|(at, _)| *at).collect::<Vec<_>>());
        }
        self.without_operands(operands.len());
        if self.program.is(Trait::Here) && !self.has(Mode::Stdout) || self.has(Mode::Here) {
            self.effects.paths.push(here(&self.place, Access::Write));
        }
        self.effects.is_unclear |= self.program.is(Trait::Unseen);
        if self.program.is(Trait::Tracked) && operands.len() <= 1 {
            self.word(Kind::Tracked, &Argument::plain("."));
        }
        if self.given.more {
            self.added_operands();
        }
    }

    /// Where the target is a directory, the sources get their own names in it.
    fn name_what_is_put(&mut self, from: usize, sources: &[usize]) {
        let name = |at: &usize| self.words[*at].literal().map(|text| program_name(text.trim_end_matches('/')).to_owned());
        let is_deep = self.has(Mode::Recursive) || self.program.rest == Some(Kind::Deep);
        let names: Option<Vec<String>> = sources.iter().map(name).collect();
        let rest = names.filter(|_| !is_deep).map_or_else(|| Rest::Unknown(String::new()), Rest::Into);
        let target = self.effects.paths[from..].iter_mut().rfind(|usage| usage.access == Access::Write && usage.rest.is_none());
        let Some(target) = target else { return };
        if matches!(rest, Rest::Into(_)) {
            target.rest = Some(rest);
        } else {
            let below = PathUse { rest: Some(rest), ..target.clone() };
            self.effects.paths.push(below);
        }
    }

    /// What a pipeline or a list gives it when it runs.
    fn added_operands(&mut self) {
        if self.changes_operands() {
            self.effects.paths.push(unknown("...", Access::Destroy));
        }
        let added = Argument::plain(self.place.mark()).with_hole_at(self.place.mark());
        for kind in [self.program.rest, self.program.last].into_iter().flatten() {
            let reads = matches!(kind, Kind::Read | Kind::Deep | Kind::Tree | Kind::Tracked | Kind::Linked | Kind::ScriptFile);
            if reads && !self.has(Mode::Edit) {
                self.word(kind, &added);
            }
        }
        self.effects.is_unclear |= self.program.is(Trait::Lists);
    }

    /// What a symbolic link leads to, from where the link will be: at the last operand, or in it.
    pub(super) fn linked(&mut self, word: &Argument) {
        let link = self.words.last().filter(|link| *link != word).and_then(Argument::literal).unwrap_or_default();
        let parent = link.rfind('/').map_or("", |slash| &link[..slash]);
        for directory in [parent, link] {
            match word.literal().filter(|_| !directory.is_empty()) {
                Some(text) => self.file(&Argument::plain(&format!("{directory}/{text}")), Access::Deep { hidden: true }),
                None => self.file(word, Access::Deep { hidden: true }),
            }
        }
    }

    fn changes_operands(&self) -> bool {
        let changing = |kind: Option<Kind>| matches!(kind, Some(Kind::Destroy | Kind::Target)) && !self.has(Mode::Stdout);
        changing(self.program.rest) || changing(self.program.last) || self.has(Mode::Edit)
    }

    /// Programs that look at the directory that they stand in, and interpreters that read their program.
    fn without_operands(&mut self, count: usize) {
        let fixed = self.program.first.len() - usize::from(self.skips_first && !self.program.first.is_empty());
        if count <= fixed && self.program.rest == Some(Kind::Tracked) {
            self.word(Kind::Tracked, &Argument::plain("."));
        } else if count <= fixed && matches!(self.program.rest, Some(Kind::Tree | Kind::Deep)) && !self.has(Mode::Names) {
            self.read(&Argument::plain("."), self.program.rest.unwrap_or(Kind::Tree));
        } else if count <= fixed
            && (self.has(Mode::Recursive) || self.has(Mode::Follows))
            && self.program.rest == Some(Kind::Read)
            && self.program.last.is_none()
        {
            self.read(&Argument::plain("."), Kind::Read);
        }
        if count <= fixed && self.has(Mode::Edit) && !self.given.more {
            self.write(&Argument::plain("."));
        }
        self.look_for_input(count);
    }

    fn operand(&mut self, kind: Kind, at: usize, place: &Place) {
        let word = &self.words[at];
        if self.program.is(Trait::Plus) && word.text.starts_with('+') {
            self.effects.is_unclear = true;
            return;
        }
        if self.program.is(Trait::Lists) && word.text.starts_with('@') {
            self.effects.is_unclear = true;
            self.file(&word.behind(1), Access::Read);
            return;
        }
        // It opens `x|` and `>x` as a shell would.
        let is_opened = program_name(&self.words[0].text) == "perl" && at > 0;
        let text = word.text.trim();
        self.effects.is_unclear |= is_opened && (text.starts_with(['|', '>', '+']) || text.ends_with('|'));
        let own = std::mem::replace(&mut self.place, place.clone());
        match kind {
            Kind::Code if self.name_is_sed() => self.word(Kind::Sed, word),
            Kind::Code if self.program.exact("--source").is_some() => self.word(Kind::Awk, word),
            _ if self.has(Mode::Edit) && matches!(kind, Kind::Read | Kind::Unsure) => self.write(word),
            _ => self.word(kind, word),
        }
        self.place = own;
    }

    fn name_is_sed(&self) -> bool {
        self.program.exact("--regexp-extended").is_some()
    }

    /// The command among the operands, if the program runs one.
    fn takes_command(&mut self, rest: &[(usize, Place)]) -> bool {
        let at = rest.first().map(|(at, _)| *at);
        let words = at.map_or(&[][..], |at| &self.words[at..]);
        let more = self.given.more;
        if self.program.is(Trait::Guess) {
            self.guess(1);
        } else if self.program.is(Trait::ShellText) {
            self.effects.inner.extend(shell_text(words, more, &mut self.effects.is_unclear));
        } else if self.program.is(Trait::ShellTexts) {
            for word in words {
                self.effects.inner.extend(shell_text(std::slice::from_ref(word), more, &mut self.effects.is_unclear));
            }
        } else if self.program.is(Trait::Command) || self.program.is(Trait::CommandAndMore) {
            special::command(self, at);
        } else if self.program.is(Trait::Runner) {
            let after = self.words.iter().position(|word| word.text == "--").map(|at| at + 1);
            special::command(self, after.or(at));
        } else {
            return false;
        }
        true
    }
}
