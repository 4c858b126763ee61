"""What remote signing signs, and the attacks on it, for a table at ``s3://lake/wh/orders``."""

STORE = "http://store.example:9000"
"""The store of which URIs are; another one may take its place in them."""


def deletion(*keys: str, around: str = "{}") -> str:
    objects = "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)
    inner = around.format(objects)
    return f'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{inner}</Delete>'


OBJECT = "/lake/wh/orders/data/f.parquet"
OPERATIONS = [
    ("GET", OBJECT, "GetObject"),
    ("GET", f"{OBJECT}?x-id=GetObject&partNumber=1", "GetObject"),
    ("HEAD", f"{OBJECT}?versionId=v", "HeadObject"),
    ("PUT", f"{OBJECT}?x-id=PutObject", "PutObject"),
    ("PUT", f"{OBJECT}?partNumber=10000&uploadId=u", "UploadPart"),
    ("POST", f"{OBJECT}?uploads", "CreateMultipartUpload"),
    ("POST", f"{OBJECT}?uploads=", "CreateMultipartUpload"),
    ("POST", f"{OBJECT}?uploadId=u", "CompleteMultipartUpload"),
    ("DELETE", f"{OBJECT}?uploadId=u", "AbortMultipartUpload"),
    ("GET", f"{OBJECT}?uploadId=u&max-parts=5", "ListParts"),
    ("DELETE", OBJECT, "DeleteObject"),
    ("GET", "/lake/?list-type=2&prefix=wh%2Forders%2Fdata%2F", "ListObjectsV2"),
    ("POST", "/lake/?delete=", "DeleteObjects"),
]


KEY = "/lake/wh/orders/x"
URIS = {
    "another bucket": f"{STORE}/lake2/wh/orders/x",
    "no bucket": f"{STORE}/",
    "another table": f"{STORE}/lake/wh/customers/x",
    "a sibling's prefix": f"{STORE}/lake/wh/orders2/x",
    "a sibling's prefix itself": f"{STORE}/lake/wh/orders-old",
    "the table's location as a key": f"{STORE}/lake/wh/orders",
    "a folder": f"{STORE}/lake/wh/orders/",
    "above": f"{STORE}/lake/wh",
    "another host": f"http://evil.example:9000{KEY}",
    "a host that ends alike": f"http://evilstore.example:9000{KEY}",
    "a host that begins alike": f"http://store.example.evil:9000{KEY}",
    "a host below": f"http://lake.store.example:9000{KEY}",
    "a trailing dot": f"http://store.example.:9000{KEY}",
    "an upper-case host": f"http://STORE.example:9000{KEY}",
    "another port": f"http://store.example:9001{KEY}",
    "no port": f"http://store.example{KEY}",
    "a port with zeros": f"http://store.example:09000{KEY}",
    "https": f"https://store.example:9000{KEY}",
    "another scheme": f"ftp://store.example:9000{KEY}",
    "no scheme": f"//store.example:9000{KEY}",
    "an upper-case scheme": f"HTTP://store.example:9000{KEY}",
    "user info": f"http://user@store.example:9000{KEY}",
    "a host as user info": f"http://store.example:9000@evil.example{KEY}",
    "a backslash before the host": f"http://evil.example\\@store.example:9000{KEY}",
    "an IPv6 zone": f"http://[fe80::1%25eth0]:9000{KEY}",
    "a fragment": f"{STORE}{KEY}#f",
    "an encoded slash": f"{STORE}/lake/wh/orders%2Fx",
    "an encoded slash in the bucket": f"{STORE}/lake%2Fwh/orders/x",
    "a step up": f"{STORE}/lake/wh/orders/../customers/x",
    "a step up at the end": f"{STORE}/lake/wh/orders/..",
    "an encoded step up": f"{STORE}/lake/wh/orders/%2e%2e/customers/x",
    "an encoded step up in upper case": f"{STORE}/lake/wh/orders/%2E%2E/customers/x",
    "a step up encoded twice": f"{STORE}/lake/wh/orders/%252e%252e/customers/x",
    "a step up encoded thrice": f"{STORE}/lake/wh/orders/%25252e%25252e%25252fcustomers/x",
    "a step up with slashes encoded twice": f"{STORE}/lake/wh/orders/x%252F..%252F..%252Fcustomers",
    "a dot": f"{STORE}/lake/wh/orders/./x",
    "an empty segment": f"{STORE}/lake/wh/orders//x",
    "an empty segment first": f"{STORE}//lake/wh/orders/x",
    "an encoded backslash": f"{STORE}/lake/wh/orders/..%5C..%5Ccustomers",
    "a backslash": f"{STORE}/lake/wh/orders/..\\..\\customers",
    "NUL": f"{STORE}/lake/wh/orders/x%00",
    "a line break": f"{STORE}/lake/wh/orders/x%0D%0AHost:%20evil",
    "a raw line break": f"{STORE}/lake/wh/orders/x\nhost:evil",
    "a raw tab": f"{STORE}/lake/wh/orders/\tx",
    "a raw blank": f"{STORE}/lake/wh/orders/a b",
    "a raw letter beyond ASCII": f"{STORE}/lake/wh/orders/é",
    "a raw plus": f"{STORE}/lake/wh/orders/a+b",  # a blank to some
    "a letter that needs no encoding": f"{STORE}/lake/wh/order%73/x",
    "encoding in lower case": f"{STORE}/lake/wh/orders/%c3%a9",
    "no UTF-8": f"{STORE}/lake/wh/orders/%FF",
    "an overlong slash": f"{STORE}/lake/wh/orders/..%C0%AF..%C0%AFcustomers",
    "a cut encoding": f"{STORE}/lake/wh/orders/x%2",
    "no encoding": f"{STORE}/lake/wh/orders/x%zz",
    "path parameters": f"{STORE}/lake/wh/orders/x;y",
    "a key that is too long": f"{STORE}/lake/wh/orders/{'x' * 1024}",
    "a URI that is too long": f"{STORE}{KEY}?versionId={'x' * 9000}",
    "nothing": "",
    "two question marks": f"{STORE}{KEY}?versionId=a?b",
    "a semicolon in the query": f"{STORE}{KEY}?versionId=a;acl",
    "an empty parameter": f"{STORE}{KEY}?versionId=a&&x-id=GetObject",
    "a parameter without a value": f"{STORE}{KEY}?versionId",
    "a parameter twice": f"{STORE}{KEY}?versionId=a&versionId=b",
    "a raw equals sign in a value": f"{STORE}{KEY}?versionId=a=b",
    "a raw equals sign": f"{STORE}/lake/wh/orders/a=b",
    "an encoded tilde": f"{STORE}/lake/wh/orders/%7E",
    "an encoded parameter": f"{STORE}{KEY}?%61cl",
    "a presigned URI": f"{STORE}{KEY}?X-Amz-Signature=very-secret&X-Amz-Credential=k",
    "a changed header": f"{STORE}{KEY}?response-content-type=text%2Fhtml",
    "another operation's x-id": f"{STORE}{KEY}?x-id=ListParts",
    **{
        f"an object's {name}": f"{STORE}{KEY}?{name}"
        for name in ("acl", "tagging", "retention", "legal-hold", "torrent", "attributes", "select")
    },
    **{
        f"a bucket's {name}": f"{STORE}/lake?{name}"
        for name in ("policy", "acl", "versions", "uploads", "location", "lifecycle", "cors")
    },
    "a bucket": f"{STORE}/lake",
    "all buckets": f"{STORE}",
    "a listing of old": f"{STORE}/lake?prefix=wh%2Forders%2F",
    "a listing of another version": f"{STORE}/lake?list-type=1&prefix=wh%2Forders%2F",
    "a listing of all": f"{STORE}/lake?list-type=2",
    "a listing of the root": f"{STORE}/lake?list-type=2&prefix=",
    "a listing without the slash": f"{STORE}/lake?list-type=2&prefix=wh%2Forders",
    "a listing of a sibling": f"{STORE}/lake?list-type=2&prefix=wh%2Forders2%2F",
    "a listing of a step up": f"{STORE}/lake?list-type=2&prefix=wh%2Forders%2F..%2F",
    "a listing of another bucket": f"{STORE}/lake2?list-type=2&prefix=wh%2Forders%2F",
    "two prefixes": f"{STORE}/lake?list-type=2&prefix=wh%2Forders%2F&prefix=wh%2F",
    "two prefixes, one encoded": f"{STORE}/lake?list-type=2&prefix=wh%2Forders%2F&%70refix=wh%2F",
    "a listing with a policy": f"{STORE}/lake?list-type=2&prefix=wh%2Forders%2F&policy",
    "a listing with versions": f"{STORE}/lake?list-type=2&prefix=wh%2Forders%2F&versions",
    "a listing below a key": f"{STORE}/lake/wh/orders/?list-type=2&prefix=wh%2Forders%2F",
    "a listing with an encoded name": f"{STORE}/lake%2F..?list-type=2&prefix=wh%2Forders%2F",
    "a listing with a raw slash": f"{STORE}/lake?list-type=2&prefix=wh/orders/",
}


MINE = "wh/orders/data/a"
BODIES = {
    "none": None,
    "empty": "",
    "no XML": "{}",
    "no keys": deletion(),
    "too many keys": deletion(*(f"{MINE}{number}" for number in range(1001))),
    "one foreign key among 999": deletion(
        *(f"{MINE}{number}" for number in range(998)), "wh/customers/x"
    ),
    "a sibling's key": deletion("wh/orders2/x"),
    "a step up": deletion("wh/orders/../customers/x"),
    "an encoded step up": deletion("wh/orders/%2e%2e/customers/x"),
    "a step up by character references": deletion("wh/orders/&#46;&#46;/customers/x"),
    "an empty key": deletion(""),
    "two keys": deletion(MINE, around="<Object><Key>wh/orders/x</Key><Key>wh/y</Key></Object>{}"),
    "two keys, both mine": deletion(
        MINE, around=f"<Object><Key>{MINE}</Key><Key>{MINE}</Key></Object>{{}}"
    ),
    "no key in an object": deletion(MINE, around="<Object></Object>{}"),
    "a version": deletion(
        around="<Object><Key>wh/orders/x</Key><VersionId>v</VersionId></Object>{}"
    ),
    "an unknown element": deletion(MINE, around="{}<Other/>"),
    "an attribute": deletion(MINE, around='<Object a="b"><Key>wh/orders/x</Key></Object>{}'),
    "a key below a key": deletion(around="<Object><Key>wh/orders/<Key>x</Key></Key></Object>{}"),
    "an object below an object": deletion(
        around="<Object><Object><Key>wh/orders/x</Key></Object></Object>{}"
    ),
    "text between": deletion(MINE, around="{} wh/customers/x"),
    "a comment": deletion("wh/orders/<!-- -->x"),
    "CDATA": deletion("<![CDATA[wh/orders/x]]>"),
    "a processing instruction": deletion(MINE, around="<?a b?>{}"),
    "a document type": "<!DOCTYPE Delete>" + deletion(MINE),
    "an entity": '<!DOCTYPE Delete [<!ENTITY e "wh/customers/x">]>' + deletion("&e;"),
    "an external entity": '<!DOCTYPE Delete [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    + deletion("&e;"),
    "a billion laughs": '<!DOCTYPE D [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]>' + deletion("&b;"),
    "an undefined entity": deletion("wh/orders/&e;"),
    "another namespace": deletion(MINE).replace("2006-03-01", "2006-03-02"),
    "a prefix": '<s:Delete xmlns:s="http://s3.amazonaws.com/doc/2006-03-01/"><s:Object>'
    "<s:Key>wh/orders/x</s:Key></s:Object></s:Delete>",
    "a namespace below": "<Delete><Object>"
    '<Key xmlns="http://s3.amazonaws.com/doc/2006-03-01/">wh/orders/x</Key></Object></Delete>',
    "no namespace below": deletion(around='<Object xmlns=""><Key>wh/orders/x</Key></Object>{}'),
    "another encoding": '<?xml version="1.0" encoding="ISO-8859-1"?>' + deletion("wh/orders/é"),
    "another version of XML": '<?xml version="1.1"?>' + deletion(MINE),
    "a line break in a key": deletion("wh/orders/a\nb"),
    "a metadata file": deletion(MINE, "wh/orders/metadata/00001-a.metadata.json"),
    "another root": deletion(MINE).replace("Delete", "Remove"),
    "two roots": deletion(MINE) + deletion("wh/customers/x"),
    "an end of its own": deletion(MINE, around="{}</Delete><Delete>"),
    "a flag that is none": deletion(MINE, around="{}<Quiet>maybe</Quiet>"),
    "a lone surrogate": deletion("wh/orders/\ud800"),
}


HEADERS = {
    "x-amz-copy-source": "/lake/wh/customers/x",
    "X-Amz-Copy-Source": "/lake/wh/customers/x",
    "x-amz-copy-source-range": "bytes=0-1",
    "x-amz-metadata-directive": "COPY",
    "x-amz-acl": "public-read",
    "x-amz-grant-read": 'uri="http://acs.amazonaws.com/groups/global/AllUsers"',
    "x-amz-grant-full-control": "id=1",
    "x-amz-website-redirect-location": "https://evil.example",
    "x-amz-object-lock-mode": "COMPLIANCE",
    "x-amz-object-lock-retain-until-date": "2099-01-01T00:00:00Z",
    "x-amz-object-lock-legal-hold": "ON",
    "x-amz-bypass-governance-retention": "true",
    "x-amz-tagging": "a=b",
    "x-amz-request-payer": "requester",
    "x-amz-server-side-encryption": "aws:kms",
    "x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:eu-central-1:666:key/evil",
    "x-amz-server-side-encryption-context": "e30=",
    "x-amz-server-side-encryption-customer-algorithm": "AES256",
    "x-amz-server-side-encryption-customer-key": "a",
    "x-amz-server-side-encryption-bucket-key-enabled": "maybe",
    "x-amz-storage-class": "DEEP_ARCHIVE",
    "x-amz-mfa": "1 2",
    "x-amz-te": "trailers",
    "x-amz-date": "20990101T000000Z",
    "x-amz-security-token": "t",
    "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "x-amz-rename-source": "/lake/wh/customers/x",
    "x-amz-write-offset-bytes": "0",
    "x-amz-unheard-of": "1",
    "Authorization": "AWS4-HMAC-SHA256 Credential=k",
}
