use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "event_log")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub position: i64,
    pub id: Uuid,
    pub stream_kind: String,
    pub stream_id: Uuid,
    pub version: i64,
    pub kind: String,
    pub recorded_at: TimeDateTimeWithTimeZone,
    pub actor: String,
    pub command_id: String,
    pub traceparent: Option<String>,
    pub partition_key: Uuid,
    pub stock_marks: Json,
    pub data: Json,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
