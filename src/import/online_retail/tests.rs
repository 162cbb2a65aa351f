//! From bytes to a plan: every oddity that files of this shape have.

use super::{
    plan::{Invoice, Plan, Return, Sale},
    reason::Reason,
};
use crate::{
    domain::order::MAX_LINES,
    value::{Invalid, Quantity, Time},
};
use time::macros::datetime;

const NOW: Time = datetime!(2026-01-01 0:00 UTC);
const HEADER: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

fn plan(rows: &str) -> Plan {
    Plan::read(format!("{HEADER}{rows}").as_bytes(), NOW).unwrap()
}

/// Line and reason of every refused row.
fn refused(plan: &Plan) -> Vec<(u64, Reason)> {
    plan.refused.iter().map(|row| (row.line, row.reason.clone())).collect()
}

/// The reason against the one row of a file.
fn against(row: &str) -> Reason {
    let plan = plan(row);
    assert!(plan.invoices.is_empty() && plan.rows == 1, "{row}: {plan:?}");
    plan.refused[0].reason.clone()
}

fn sale(plan: &Plan, index: usize) -> &Sale {
    match &plan.invoices[index] {
        Invoice::Sale(sale) => sale,
        Invoice::Return(goods) => panic!("{goods:?}"),
    }
}

fn goods(plan: &Plan, index: usize) -> &Return {
    match &plan.invoices[index] {
        Invoice::Return(goods) => goods,
        Invoice::Sale(sale) => panic!("{sale:?}"),
    }
}

#[test]
fn one_invoice_is_one_sale_with_the_rows_own_prices() {
    let plan = plan(
        "536365,85123A,WHITE HEART,6,12/1/10 8:26,2.55,17850,United Kingdom\n\
         536365,71053,LANTERN,6,12/1/10 8:26,3.39,17850,United Kingdom\n\
         536365,85123A,WHITE HEART,2,12/1/10 8:26,2.1,17850,United Kingdom\n",
    );
    assert_eq!((plan.rows, plan.invoice_count, plan.invoices.len(), plan.refused.len()), (3, 1, 1, 0));
    let sale = sale(&plan, 0);
    assert_eq!((sale.number.as_str(), sale.at), ("536365", datetime!(2010-12-01 8:26 UTC)));
    let lines: Vec<_> = sale.lines.iter().map(|l| (l.line, l.sku.as_str(), l.quantity.get(), l.price.minor)).collect();
    assert_eq!(lines, [(2, "85123A", 6, 255), (3, "71053", 6, 339), (4, "85123A", 2, 210)]);
    assert_eq!(sale.total().minor, 6 * 255 + 6 * 339 + 2 * 210);
    let user = &plan.users[&sale.customer];
    assert_eq!(
        (user.display_name.as_str(), user.email.as_str(), user.buys),
        ("Customer 17850", "customer-17850@online-retail.invalid", true)
    );
}

#[test]
fn dates_have_two_or_four_digits_of_a_year_and_may_have_seconds() {
    let at = |date: &str| sale(&plan(&format!("1,A,x,1,{date},1,,UK")), 0).at;
    for date in ["12/1/10 8:26", "12/01/2010 08:26", "12/1/2010 8:26:00", "12/1/10  8:26"] {
        assert_eq!(at(date), datetime!(2010-12-01 8:26 UTC), "{date}");
    }
    assert_eq!(at("2/29/2008 23:59:58"), datetime!(2008-02-29 23:59:58 UTC));
    assert_eq!(at("1/31/99 0:00"), datetime!(1999-01-31 0:00 UTC));
    for date in [
        "",
        "12/1/10",
        "12/1/10 8",
        "13/1/10 8:26",
        "2/30/10 8:26",
        "2/29/2010 8:26",
        "12/1/10 24:00",
        "12/1/10 8:60",
        "12/1/210 8:26",
        "12/1/0000 8:26",
        "12/-1/10 8:26",
        "2010-12-01 08:26",
        "12/1/10 8:26 PM",
        "yesterday",
    ] {
        assert_eq!(against(&format!("1,A,x,1,{date},1,,UK")), Reason::Date, "{date}");
    }
    assert_eq!(against("1,A,x,1,1/1/2026 0:01,1,,UK"), Reason::Future);
}

#[test]
fn a_row_that_makes_no_sense_is_refused_with_its_reason() {
    let with = |quantity: &str, price: &str| against(&format!("536365,A,x,{quantity},12/1/10 8:26,{price},17850,UK"));
    assert_eq!(with("1", "0"), Reason::PriceNotPositive);
    assert_eq!(with("1", "-11062.06"), Reason::PriceNotPositive);
    assert_eq!(with("1", "0.001"), Reason::Amount(Invalid("GBP has 2 decimals; the amount has more".into())));
    assert_eq!(with("1", "99999999999999"), Reason::Amount(Invalid("the amount is too large".into())));
    for price in ["", "free", "£2", "2_5", "1e3", "0x1", "NaN", "--1", "99999999999999999999999999999999"] {
        assert_eq!(with("1", price), Reason::Price, "{price}");
    }
    for quantity in ["", "six", "6.5", "1e3", "99999999999999999999"] {
        assert_eq!(with(quantity, "1"), Reason::Quantity, "{quantity}");
    }
    assert_eq!(with("0", "1"), Reason::NoQuantity);
    assert_eq!(with("-1", "1"), Reason::NegativeSale);
    assert_eq!(with(&(Quantity::MAX + 1).to_string(), "1"), Reason::TooMany);
    assert_eq!(against("C1,A,x,1,12/1/10 8:26,1,17850,UK"), Reason::PositiveReturn);
    assert_eq!(against("C1,A,x,0,12/1/10 8:26,1,17850,UK"), Reason::NoQuantity);
    assert_eq!(against("C1,A,x,-9223372036854775808,12/1/10 8:26,1,17850,UK"), Reason::TooMany);
    assert!(matches!(against(",A,x,1,12/1/10 8:26,1,17850,UK"), Reason::Invoice(_)));
    assert!(matches!(against("1, ,x,1,12/1/10 8:26,1,17850,UK"), Reason::Sku(_)));
    for customer in ["abc", "17850.5", "-1", ".0", "123456789012345678901234567890123"] {
        assert_eq!(against(&format!("1,A,x,1,12/1/10 8:26,1,{customer},UK")), Reason::Customer, "{customer}");
    }
    assert_eq!(against("1,A,x"), Reason::FieldCount { found: 3, expected: 8 });
    assert_eq!(against("1,A,x,1,12/1/10 8:26,1,,UK,more"), Reason::FieldCount { found: 9, expected: 8 });
}

#[test]
fn numbers_may_come_as_tables_with_gaps_write_them() {
    let plan = plan(
        "1,A,x,6.0,12/1/10 8:26,2.5500,17850.0,UK\n\
         1,A,x,+1,12/1/10 8:26,.5,17850,UK\n\
         2,A,x,1,12/1/10 8:27,1,,UK\n\
         2,A,x,1,12/1/10 8:27,1,  ,UK\n",
    );
    assert!(plan.refused.is_empty(), "{:?}", plan.refused);
    assert_eq!(sale(&plan, 0).total().minor, 6 * 255 + 50);
    let names: Vec<_> = plan.users.values().map(|user| user.display_name.as_str()).collect();
    assert_eq!(names, ["Guest", "Customer 17850"]);
}

#[test]
fn rows_of_an_invoice_need_not_stand_together_but_must_be_one_customers() {
    let plan = plan(
        "1,A,x,1,12/1/10 8:26,0,99999,UK\n\
         1,A,x,1,12/1/10 8:27,1,17850,UK\n\
         2,A,x,1,12/1/10 8:20,1,17850,UK\n\
         1,A,x,2,12/1/10 8:28,1,17850,UK\n\
         1,A,x,4,12/1/10 8:26,1,,UK\n",
    );
    let stranger = Reason::OtherCustomer { row: "Guest".into(), invoice: "Customer 17850".into() };
    assert_eq!(refused(&plan), [(2, Reason::PriceNotPositive), (6, stranger)]);
    assert_eq!((sale(&plan, 0).number.as_str(), sale(&plan, 1).number.as_str()), ("2", "1"), "by date, not by place");
    let first = sale(&plan, 1);
    assert_eq!(first.at, datetime!(2010-12-01 8:27 UTC), "the first accepted row says when");
    assert_eq!(first.lines.iter().map(|line| line.line).collect::<Vec<_>>(), [3, 5]);
}

#[test]
fn an_order_ends_at_its_most_lines_and_an_invoice_without_rows_is_none() {
    let rows = "1,A,x,1,12/1/10 8:26,1,,UK\n".repeat(MAX_LINES + 2) + "2,A,x,1,12/1/10 8:26,0,,UK\n";
    let plan = plan(&rows);
    assert_eq!((plan.invoice_count, plan.invoices.len()), (2, 1));
    assert_eq!(sale(&plan, 0).lines.len(), MAX_LINES);
    let late = MAX_LINES as u64 + 2;
    assert_eq!(
        refused(&plan),
        [(late, Reason::TooManyLines), (late + 1, Reason::TooManyLines), (late + 2, Reason::PriceNotPositive)]
    );
    assert_eq!(plan.rows, MAX_LINES as u64 + 3);
}

#[test]
fn identical_rows_of_a_return_are_different_refunds_and_the_same_in_every_run() {
    let rows = "C1,A,x,-2,12/1/10 8:26,1,17850,UK\n\
                C1,A,x,-2,12/1/10 8:26,1,17850,UK\n\
                C1,A,x,-3,12/1/10 8:26,1,17850,UK\n";
    let (once, again) = (plan(rows), plan(rows));
    let ids = |plan: &Plan| goods(plan, 0).rows.iter().map(|row| row.refund.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&once), ids(&again));
    assert_ne!(ids(&once)[0], ids(&once)[1]);
    assert_ne!(ids(&once)[0], ids(&once)[2]);
    assert_eq!(goods(&once, 0).rows[2].quantity.get(), 3);
    assert!(!once.users.values().any(|user| user.buys), "who only brings back is not made");
    assert!(once.products.values().all(|product| product.price.is_none()));
}

#[test]
fn ids_follow_from_what_is_sold() {
    let row = |number: &str, quantity: u32| format!("{number},A,x,{quantity},12/1/10 8:26,1,17850,UK\n");
    let id = |rows: String| sale(&plan(&rows), 0).place.clone();
    assert_eq!(id(row("1", 1)), id(row("1", 1) + &row("2", 1)), "other invoices do not matter");
    assert_ne!(id(row("1", 1)), id(row("1", 2)));
    assert_ne!(id(row("1", 1)), id(row("1", 1) + &row("1", 1)));
    assert!(id(row("1", 1)).as_str().starts_with("online-retail:order:1:"));
}

#[test]
fn a_product_has_the_first_name_that_says_something_and_the_price_of_its_first_sale() {
    let plan = plan(
        "1,85123A,damaged?,1,12/1/10 8:26,0,,UK\n\
         C2,85123A,,-1,12/1/10 8:26,9.99,,UK\n\
         1,85123A, ,1,12/1/10 8:26,2.55,,UK\n\
         1,85123A,WHITE HEART ,1,12/1/10 8:26,2.10,,UK\n\
         1,85123a,white heart,1,12/1/10 8:26,1,,UK\n\
         1,POST,,1,12/1/10 8:26,18,,UK\n",
    );
    let products: Vec<_> =
        plan.products.iter().map(|(sku, p)| (sku.as_str(), p.name.as_str(), p.price.map(|price| price.minor))).collect();
    assert_eq!(
        products,
        [("85123A", "WHITE HEART", Some(255)), ("85123a", "white heart", Some(100)), ("POST", "POST", Some(1800))]
    );
}

#[test]
fn columns_are_found_by_name() {
    let file = "country,PRICE,unitprice,customerid, INVOICEDATE ,QUANTITY,description,stockcode,invoiceno\n\
                UK,9,2.55,17850,12/1/10 8:26,6,WHITE HEART,85123A,536365\n";
    let bytes = [&b"\xef\xbb\xbf"[..], file.as_bytes()].concat();
    let found = Plan::read(&bytes, NOW).unwrap();
    assert_eq!(sale(&found, 0).total().minor, 6 * 255);

    let problem = |header: &str| Plan::read(header.as_bytes(), NOW).unwrap_err();
    assert_eq!(problem(""), "it is empty");
    assert_eq!(problem(&HEADER.replace("UnitPrice", "Price")), "there is no column UnitPrice");
    assert_eq!(
        problem(&HEADER.replace("Country", "customerid")),
        "the column CustomerID is there twice, there is no column Country"
    );
    assert!(plan("").invoices.is_empty(), "a header alone is a file without rows");
}

#[test]
fn bytes_are_utf_8_or_latin_1_field_by_field() {
    let mut bytes = HEADER.as_bytes().to_vec();
    bytes.extend_from_slice(b"1,A,CAF\xc9,1,12/1/10 8:26,1,,UK\r\n\r\n1,B,\"CAF\xc3\x89, \"\"5\"\"\",1,12/1/10 8:26,1,,UK\r\n");
    let plan = Plan::read(&bytes, NOW).unwrap();
    let names: Vec<_> = plan.products.values().map(|product| product.name.as_str()).collect();
    assert_eq!(names, ["CAFÉ", "CAFÉ, \"5\""]);
    assert_eq!(sale(&plan, 0).lines[1].line, 4);
}

#[test]
fn a_lost_quote_costs_its_own_row_only() {
    let plan = plan("1,A,\"x,1,12/1/10 8:26,1,,UK\n1,B,\"y\",1,12/1/10 8:26,1,,UK\n1,C,\"z\nz\",1,12/1/10 8:26,1,,UK\n");
    assert_eq!(refused(&plan), [(2, Reason::LostQuote)]);
    assert_eq!(sale(&plan, 0).lines.iter().map(|line| line.line).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(plan.rows, 3);
}

#[test]
fn the_file_of_oddities_is_understood_row_by_row() {
    let plan = Plan::read(include_bytes!("../../../tests/data/online-retail-oddities.csv"), NOW).unwrap();
    let invoices: Vec<_> = plan
        .invoices
        .iter()
        .map(|invoice| match invoice {
            Invoice::Sale(sale) => (sale.number.as_str(), sale.total().minor),
            Invoice::Return(goods) => (goods.number.as_str(), -(goods.rows.len() as i64)),
        })
        .collect();
    let returns = [("C900007", -1), ("C900009", -1), ("C900006", -5), ("C900010", -1)];
    let sales = [("900001", 2895), ("900002", 1356), ("900003", 1050), ("900005", 1530), ("900013", 425)];
    assert_eq!(invoices, [&returns[..1], &sales[..], &returns[1..]].concat());
    assert_eq!((plan.rows, plan.invoice_count), (29, 13));
    let lines: Vec<u64> = plan.refused.iter().map(|row| row.line).collect();
    assert_eq!(
        lines,
        [13, 14, 16, 17, 18, 19, 20, 21, 22, 23, 25, 28, 29, 30],
        "returns without an order are the shop's to refuse"
    );
}
