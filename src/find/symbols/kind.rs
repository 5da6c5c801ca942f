//! Symbol kinds with their numbers in the Language Server Protocol.

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SymbolKind {
    Module = 2,
    Namespace = 3,
    Class = 5,
    /// A function that belongs to a type or an object.
    Method = 6,
    /// A property or accessor.
    Property = 7,
    /// A field of a class or structure.
    Field = 8,
    /// A constructor.
    Constructor = 9,
    Enum = 10,
    /// An interface, trait, concept or annotation type.
    Interface = 11,
    /// A function or a macro.
    Function = 12,
    /// A variable outside functions.
    Variable = 13,
    /// A constant outside functions.
    Constant = 14,
    /// A value of an enumeration.
    EnumMember = 22,
    Struct = 23,
    Event = 24,
    /// A type alias; the protocol has no better number.
    TypeAlias = 26,
}

impl SymbolKind {
    /// The highest number in the Language Server Protocol.
    pub const HIGHEST: u8 = 26;

    /// The number in the Language Server Protocol.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Whether functions in it are methods.
    pub(super) const fn is_type(self) -> bool {
        matches!(self, Self::Class | Self::Struct | Self::Interface | Self::Enum)
    }

    /// Whether it only groups definitions.
    pub(super) const fn is_module(self) -> bool {
        matches!(self, Self::Module | Self::Namespace)
    }

    /// The smaller, the more likely users search for it by name.
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
