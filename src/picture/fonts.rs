//! The embedded fonts: OFL subsets, see `dashboards/fonts/README.md`.

/// Noto Sans SC Regular: 黑体, maps and charts.
pub static SANS: &[u8] = include_bytes!("../../dashboards/fonts/NotoSansSC-Regular.ttf");
/// Noto Serif SC Regular: 宋体, and the body where no 仿宋 is configured.
pub static SERIF: &[u8] = include_bytes!("../../dashboards/fonts/NotoSerifSC-Regular.ttf");
/// Noto Serif SC Bold: titles, for there is no free 小标宋.
pub static SERIF_BOLD: &[u8] = include_bytes!("../../dashboards/fonts/NotoSerifSC-Bold.ttf");
/// A subset of LXGW WenKai under a name of its own: 楷体.
pub static KAI: &[u8] = include_bytes!("../../dashboards/fonts/JijiaKai-Regular.ttf");
