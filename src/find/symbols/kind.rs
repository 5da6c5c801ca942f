//! Kinds of symbols, with the numbers that the language server protocol has given them.

/// What a symbol is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SymbolKind {
    /// A module.
    Module = 2,
    /// A namespace.
    Namespace = 3,
    /// A class or record.
    Class = 5,
    /// A function that belongs to a type or an object.
    Method = 6,
    /// A property, with or without code behind it.
    Property = 7,
    /// A field of a class or structure.
    Field = 8,
    /// What makes an instance of a class.
    Constructor = 9,
    /// An enumeration.
    Enum = 10,
    /// An interface, trait, concept or annotation type.
    Interface = 11,
    /// A function or a macro.
    Function = 12,
    /// A variable outside of functions.
    Variable = 13,
    /// A constant outside of functions.
    Constant = 14,
    /// A value of an enumeration.
    EnumMember = 22,
    /// A structure or union.
    Struct = 23,
    /// An event.
    Event = 24,
    /// Another name for a type; the protocol has no better number for it.
    TypeAlias = 26,
}

impl SymbolKind {
    /// The highest number that the language server protocol knows.
    pub const HIGHEST: u8 = 26;

    /// Its number in the language server protocol.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Whether functions inside of it are methods.
    pub(super) const fn is_type(self) -> bool {
        matches!(self, Self::Class | Self::Struct | Self::Interface | Self::Enum)
    }

    /// Whether it only groups what belongs to the whole program.
    pub(super) const fn is_module(self) -> bool {
        matches!(self, Self::Module | Self::Namespace)
    }

    /// The smaller, the more likely it is what somebody looks for by its name.
    pub(super) const fn class(self) -> u8 {
        match self {
            Self::Class | Self::Struct | Self::Interface | Self::Enum | Self::TypeAlias => 0,
            Self::Function | Self::Method | Self::Constructor => 1,
            Self::Module | Self::Namespace => 2,
            Self::Constant | Self::Event => 3,
            Self::Variable | Self::Property | Self::Field | Self::EnumMember => 4,
        }
    }
}
